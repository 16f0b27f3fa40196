"""Nothing of Redis is left: neither the package, nor its passwords, nor what it held."""

from kokki import *

env.include_recipe("redis.absent")
SystemdUnit("redis-server.service.d/deploymachine.conf", action="delete", backup=False)
for package in ("redis-server", "redis-tools"):  # whose directories these are
    Package(package, action="purge")
for path in ("/etc/redis", "/var/lib/redis", "/var/log/redis"):
    Directory(path, action="delete", recursive=True)
