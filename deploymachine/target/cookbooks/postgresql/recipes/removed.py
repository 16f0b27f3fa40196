"""Nothing of PostgreSQL is left, nor of its data: for a server whose databases another one keeps."""

from kokki import *

env.include_recipe("postgresql.absent")
for version in env.cookbooks.postgresql.versions():
    Package(f"postgresql-{version}", action="purge")
SystemdUnit("postgresql@.service.d/deploymachine.conf", action="delete", backup=False)
for path in ("/etc/postgresql", "/var/lib/postgresql", "/var/log/postgresql"):
    Directory(path, action="delete", recursive=True)
File(env.cookbooks.postgresql.RETIRED, action="delete", backup=False)
