"""Redis, listening on the private address and the loopback, behind a password, in a unit that can do nothing else."""

from kokki import *

library, identity = env.cookbooks.redis, env.config.redis.identity
keeper = env.config.redis.keeper
TLS, REPLICATION = "/etc/redis/tls", "/etc/redis/replication.conf"

Package("redis-server")
proofs = []
if identity:
    Directory(TLS, owner="root", group="redis", mode=0o750)
    proofs = [
        File(f"{TLS}/authority.pem", content=identity["authority"], mode=0o644),
        File(f"{TLS}/server.pem", content=identity["certificate"], mode=0o644),
        File(f"{TLS}/server.key", content=identity["key"], owner="root", group="redis", mode=0o640, backup=False),
    ]


def told(path, template, **variables):
    content = Template(f"redis/{template}.j2", variables)
    return File(
        path, content=content, owner="root", group="redis", mode=0o640, backup=False
    )  # secrets lie in one place


# In this order: what restarts it comes before what is told to the one that runs.
configuration = told("/etc/redis/redis.conf", "redis.conf", tls=TLS, replication=REPLICATION, **library.limits(env))
replication = told(REPLICATION, "replication.conf")
unit = SystemdUnit("redis-server.service.d/deploymachine.conf", content=StaticFile("redis/unit.conf"))
Service(
    "redis-server",
    action="start",
    enabled=True,
    subscribes=[("restart", changed) for changed in (configuration, unit, *proofs, *([] if keeper else [replication]))],
)
if keeper:
    # A restart would empty it.
    Execute(
        "tell Redis whom it copies",
        action="nothing",
        subscribes=[("run", replication)],
        **library.applying(env.config.redis, REPLICATION, TLS),
    )
