"""What keeps long-running programs running, one file each."""

__description__ = "supervisor, and a resource for each of its programs"
__config__ = {
    "supervisor.log_max_mb": {"description": "Size at which a program's log is turned over", "default": 10},
    "supervisor.log_backups": {"description": "How many turned-over logs of a program are kept", "default": 5},
    "supervisor.memory_share": {
        "description": "The part of the machine's memory that all programs together may take",
        "default": 0.8,
    },
    "supervisor.writable": {
        "description": "More directories that programs may write to, besides /srv; they have to be there",
        "default": [],
    },
    "supervisor.unit": {
        "description": "Further lines of the unit's [Service], name -> value; they win",
        "default": {},
    },
}
