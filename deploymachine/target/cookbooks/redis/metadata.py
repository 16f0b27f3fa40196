"""The cachenode: Redis as Debian packages it, for the sites of one deployment and nobody else."""

__description__ = "Redis: a cache with a password and a memory limit, forgetful unless told otherwise"
__config__ = {
    "redis.listen_addresses": {"description": "Addresses to listen on, besides the loopback", "default": []},
    "redis.port": {"description": "Where it listens", "default": 6379},
    "redis.identity": {
        "description": "What it proves who it is with, PEM: {authority, certificate, key}; None: it speaks no TLS",
        "default": None,
    },
    "redis.users": {"description": "name -> password of those who may use the cache", "default": {}},
    "redis.more_passwords": {"description": "name -> further passwords that are taken from it", "default": {}},
    "redis.memory_mb": {"description": "The machine's memory, MiB; None: what is seen there", "default": None},
    "redis.memory_share": {"description": "The part of it that the cache may take", "default": 0.6},
    "redis.maxmemory_mb": {"description": "Memory for the cache, MiB; None: by that share", "default": None},
    "redis.maxmemory_policy": {"description": "What goes when it is full", "default": "allkeys-lru"},
    "redis.persistent": {"description": "Whether what it holds outlives a restart", "default": False},
    "redis.databases": {"description": "How many numbered databases there are", "default": 16},
    "redis.replica_of": {"description": "Address of the Redis whose writes are copied; None: none", "default": None},
    "redis.replicas": {
        "description": "Those who may copy, and how this one asks to: {user, password, besides: [...]}; None: nobody",
        "default": None,
    },
    "redis.keeper": {
        "description": "By whose login the server itself tells a running one whom to copy: {user, password, besides}; "
        "None: a change of that restarts it",
        "default": None,
    },
    "redis.settings": {"description": "Further lines of redis.conf, name -> value; they win", "default": {}},
}
