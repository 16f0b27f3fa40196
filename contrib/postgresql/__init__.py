"""Databases for every day, their copies, their backups, and who leads them: `fab dbserver postgresql.dump`."""

from deploymachine.contrib.postgresql._backups import backup, backups, restore, restore_drill
from deploymachine.contrib.postgresql._copies import dump, dumps, load, pull, push
from deploymachine.contrib.postgresql._databases import create, drop, psql, size, vacuum
from deploymachine.contrib.postgresql._leading import follow, primary, promote, state
from deploymachine.contrib.postgresql._queries import activity, kill_query

__all__ = [
    "activity",
    "backup",
    "backups",
    "create",
    "drop",
    "dump",
    "dumps",
    "follow",
    "kill_query",
    "load",
    "primary",
    "promote",
    "psql",
    "pull",
    "push",
    "restore",
    "restore_drill",
    "size",
    "state",
    "vacuum",
]
