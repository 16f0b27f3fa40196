"""Redis, listening on the private address and the loopback, behind a password, in a unit that can do nothing else."""

from kokki import *

library, identity = env.cookbooks.redis, env.config.redis.identity
TLS = "/etc/redis/tls"

Package("redis-server")
proofs = []
if identity:
    Directory(TLS, owner="root", group="redis", mode=0o750)
    proofs = [
        File(f"{TLS}/authority.pem", content=identity["authority"], mode=0o644),
        File(f"{TLS}/server.pem", content=identity["certificate"], mode=0o644),
        File(f"{TLS}/server.key", content=identity["key"], owner="root", group="redis", mode=0o640, backup=False),
    ]
configuration = File(
    "/etc/redis/redis.conf",
    content=Template("redis/redis.conf.j2", {"redis": library, "tls": TLS}),
    owner="root",
    group="redis",
    mode=0o640,
    backup=False,  # secrets lie in one place
)
unit = SystemdUnit("redis-server.service.d/deploymachine.conf", content=StaticFile("redis/unit.conf"))
Service(
    "redis-server",
    action="start",
    enabled=True,
    subscribes=[("restart", changed) for changed in (configuration, unit, *proofs)],
)
