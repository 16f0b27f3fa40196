"""The loadbalancer: TLS in front, the sites' appnodes behind."""

__description__ = "nginx: TLS, upstreams with passive checks, static cache, a page for when nobody answers"
__config__ = {
    "nginx.sites": {
        "description": "What is served: [{name, domains ([]: every name), upstreams ('ip:port'), default}]",
        "default": [],
    },
    "nginx.certificates": {
        "description": "site -> {certificate: PEM with its chain, key: PEM}",
        "default": {},
    },
    "nginx.hsts_seconds": {"description": "How long browsers insist on HTTPS", "default": 63072000},
    "nginx.client_max_body_size": {"description": "The largest upload", "default": "20m"},
    "nginx.cache_max_size": {"description": "Disk for cached static files", "default": "256m"},
    "nginx.read_timeout": {"description": "Seconds an appnode may take to answer", "default": 60},
    "nginx.worker_connections": {"description": "Connections of each worker", "default": 4096},
}
