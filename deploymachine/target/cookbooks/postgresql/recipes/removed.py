"""Nothing of PostgreSQL is left, nor of its data: for a server whose databases another one keeps."""

from kokki import *

env.include_recipe("postgresql.absent")
for version in env.cookbooks.postgresql.versions():
    Package(f"postgresql-{version}", action="purge")
SystemdUnit("postgresql@.service.d/deploymachine.conf", action="delete", backup=False)
for path in ("/etc/postgresql", "/var/lib/postgresql", "/var/log/postgresql"):
    Directory(path, action="delete", recursive=True)
File(env.cookbooks.postgresql.RETIRED, action="delete", backup=False)
# What kept PostgreSQL from being started, and from being reached, once its databases were given up.
for version in env.cookbooks.postgresql.versions():
    unit = f"postgresql@{version}-main.service"
    Execute(f"unmask {unit}", command=["systemctl", "unmask", unit], only_if=f"test -L /etc/systemd/system/{unit}")
Execute(
    "no fence",
    command=["nft", "delete", "table", "inet", "deploymachine_fence"],
    only_if="nft list table inet deploymachine_fence",
)
