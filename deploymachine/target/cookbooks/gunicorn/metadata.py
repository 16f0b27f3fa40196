"""The server of a site's own processes: its configuration; the program itself comes with the site's virtualenv."""

__description__ = "gunicorn's configuration for each site"
__config__ = {
    "gunicorn.threads": {
        "description": "Requests a worker answers at a time; with more than 1 a reload loses some (see the template)",
        "default": 1,
    },
    "gunicorn.worker_mb": {"description": "Memory a worker is reckoned to take, MiB", "default": 150},
    "gunicorn.memory_mb": {"description": "The machine's memory, MiB; None: what is seen there", "default": None},
    "gunicorn.timeout": {"description": "Seconds after which a worker that hangs is replaced", "default": 60},
    "gunicorn.graceful_timeout": {"description": "Seconds a leaving worker has for its requests", "default": 30},
    "gunicorn.forwarded_allow_ips": {
        "description": "Whose X-Forwarded-* is believed: addresses, with commas between them",
        "default": "127.0.0.1",
    },
}
