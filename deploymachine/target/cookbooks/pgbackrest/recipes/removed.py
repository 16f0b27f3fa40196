"""Nothing is left of the backups that were made here; those in object storage are as they were."""

from kokki import *

NOTE = "/var/lib/deploymachine/stanza-main"

env.include_recipe("pgbackrest.absent")
for unit in ("deploymachine-backup@.service", "deploymachine-backup.timer"):
    SystemdUnit(unit, action="delete", backup=False)
for unit in ("deploymachine-restore-drill.service", "deploymachine-restore-drill-left.service"):
    SystemdUnit(unit, action="delete", backup=False)
Package("pgbackrest", action="purge")
for path in ("/etc/pgbackrest", env.config.postgresql.backup.path, "/var/log/pgbackrest", "/var/spool/pgbackrest"):
    Directory(path, action="delete", recursive=True)
File(NOTE, action="delete", backup=False)
