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
    more, replicas = config.more_passwords, config.replicas
    found = {
        name: f"on {digests([password, *more.get(name, [])])} {SITES}"
        for name, password in sorted(config.users.items())
    }
    if replicas is not None:
        passwords = [replicas["password"], *replicas.get("besides", [])]
        found[replicas["user"]] = f"on {digests(passwords)} {REPLICAS}"
    return found


def digests(passwords):
    return " ".join(f"#{digest(password)}" for password in passwords)


def digest(password):
    return Secret(hashlib.sha256(password.encode()).hexdigest())
