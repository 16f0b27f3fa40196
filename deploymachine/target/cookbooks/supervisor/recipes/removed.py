"""Nothing of supervisor is left, its programs' logs included."""

from kokki import *

env.include_recipe("supervisor.absent")
SystemdUnit("supervisor.service.d/deploymachine.conf", action="delete", backup=False)
Package("supervisor", action="purge")
for path in ("/etc/supervisor", "/var/log/supervisor"):
    Directory(path, action="delete", recursive=True)
