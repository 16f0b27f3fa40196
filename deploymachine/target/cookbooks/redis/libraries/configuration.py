"""Attributes in, what redis.conf says of memory and passwords out."""

import hashlib

from kokki.secrets import Secret

LEAST = 32  # MiB, below which a cache is of no use
# Everything a cache is used for; neither administration nor what looks at all keys at once, but emptying a database.
SITES = "~* &* +@all -@admin -@dangerous +flushdb +info"
REPLICAS = "+psync +replconf +ping"
# Who copies whom, and how far that is; none of what is kept.
KEEPER = "+replicaof +config|set +info +ping"
# The lines of the file, as orders; Redis answers OK to each, as soon as it has read what it holds.
ORDERS = """for try in $(seq 20); do
awk '/^replicaof/ {of = $2 " " $3} /^master/ {print "CONFIG SET", $1, $2}
END {print "CONFIG SET replica-read-only yes"; print "REPLICAOF", of ? of : "NO ONE"}' %s |
redis-cli %s | awk '!/^OK/ {print; bad = 1} END {exit bad}' && exit 0
sleep 0.5
done; exit 1"""


def limits(env):
    """What redis.conf says of memory (MiB) and of who may do what."""
    return {"maxmemory_mb": maxmemory_mb(env), "users": users(env.config.redis)}


def maxmemory_mb(env):
    """The limit that was set, else the share of the machine's memory."""
    config = env.config.redis
    memory = config.memory_mb or env.system.memory_mb
    return config.maxmemory_mb or max(LEAST, int(memory * config.memory_share))


def users(config):
    """Name -> rights of everybody who may log in. The passwords themselves do not stand in the file."""
    more = config.more_passwords
    found = {
        name: f"on {digests([password, *more.get(name, [])])} {SITES}"
        for name, password in sorted(config.users.items())
    }
    for login, rights in ((config.replicas, REPLICAS), (config.keeper, KEEPER)):
        if login is not None:
            passwords = [login["password"], *login.get("besides", [])]
            found[login["user"]] = f"on {digests(passwords)} {rights}"
    return found


def applying(config, path, tls):
    """Arguments of an Execute that has a running Redis take in that file, which says whom it copies."""
    words = ["-h", "127.0.0.1", "-p", str(config.port), "--no-auth-warning", "--user", config.keeper["user"]]
    words += ["--tls", "--cacert", f"{tls}/authority.pem"] if config.identity else []
    command = ORDERS % (path, " ".join(words))
    return {"command": command, "environment": {"REDISCLI_AUTH": config.keeper["password"]}}


def digests(passwords):
    return " ".join(f"#{digest(password)}" for password in passwords)


def digest(password):
    return Secret(hashlib.sha256(password.encode()).hexdigest())
