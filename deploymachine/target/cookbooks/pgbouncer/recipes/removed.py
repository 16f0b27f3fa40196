"""Nothing of pgbouncer is left."""

from kokki import *

env.include_recipe("pgbouncer.absent")
SystemdUnit("pgbouncer.service.d/deploymachine.conf", action="delete", backup=False)
Package("pgbouncer", action="purge")
for path in ("/etc/pgbouncer", "/var/log/pgbouncer"):
    Directory(path, action="delete", recursive=True)
