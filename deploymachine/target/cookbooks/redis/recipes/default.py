"""Redis, listening on the private address and the loopback, behind a password, in a unit that can do nothing else."""

from kokki import *

library = env.cookbooks.redis

Package("redis-server")
configuration = File(
    "/etc/redis/redis.conf",
    content=Template("redis/redis.conf.j2", {"redis": library}),
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
    subscribes=[("restart", configuration), ("restart", unit)],
)
