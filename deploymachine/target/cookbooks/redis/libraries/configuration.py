"""Attributes in, what redis.conf says of memory and passwords out."""

import hashlib

from kokki.secrets import Secret

LEAST = 32  # MiB, below which a cache is of no use
# Everything a cache is used for; neither administration nor what looks at all keys at once, but emptying a database.
SITES = "~* &* +@all -@admin -@dangerous +flushdb +info"
REPLICAS = "+psync +replconf +ping"


def maxmemory_mb(env):
    """The limit that was set, else the share of the machine's memory."""
    config = env.config.redis
    memory = config.memory_mb or env.system.memory_mb
    return config.maxmemory_mb or max(LEAST, int(memory * config.memory_share))


def users(config):
    """Name -> rights of everybody who may log in. The passwords themselves do not stand in the file."""
    found = {name: f"on #{digest(password)} {SITES}" for name, password in sorted(config.users.items())}
    if config.replicas is not None:
        found[config.replicas["user"]] = f"on #{digest(config.replicas['password'])} {REPLICAS}"
    return found


def digest(password):
    return Secret(hashlib.sha256(password.encode()).hexdigest())
