"""What every server does with what is logged on it: bounded here, and sent to the lognodes where there are any."""

__description__ = "Limits and rotation of logs; rsyslog that sends them to the lognodes, and keeps them there"
__config__ = {
    "logs.journal_mb": {"description": "Disk for systemd's journal", "default": 500},
    "logs.rotate_mb": {"description": "Size at which a log file is rotated before its day is over", "default": 100},
    "logs.rotations": {"description": "How many rotated ones of each file are kept", "default": 14},
    "logs.files": {
        "description": "Files that are logs, besides the journal: pattern -> program; * in it is the file's own name",
        "default": {
            "/var/log/nginx/*.log": "nginx-*",
            "/var/log/postgresql/*.log": "postgresql",
            "/var/log/rabbitmq/*.log": "rabbitmq",
            "/var/log/redis/*.log": "redis",
            "/var/log/supervisor/*.log": "*",
        },
    },
    "logs.more_files": {"description": "More of them, in the same way", "default": {}},
    "logs.lognodes": {"description": "Who gets everything that is logged here: [{name, address}]", "default": []},
    "logs.port": {"description": "Where lognodes listen", "default": 2514},
    "logs.identity": {
        "description": "What proves this server's name to its peers, PEM: {authority, certificate, key}; None: nothing",
        "default": None,
    },
    "logs.queue_mb": {"description": "Disk for what waits for an absent lognode, each; 8 at least", "default": 1024},
    "logs.senders": {"description": "On a lognode, who may send to it: name -> address", "default": {}},
    "logs.listen_address": {"description": "On a lognode, where it listens", "default": None},
    "logs.retention_days": {"description": "On a lognode, how many days are kept", "default": 30},
    "logs.retention_mb": {
        "description": "On a lognode, disk for all of them; the oldest days go first",
        "default": 5000,
    },
}


def __loader__(kit):  # noqa: N807 - the recipe language calls it so
    kit.cookbook("base")
