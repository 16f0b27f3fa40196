"""What is left when a dbserver, or a table, is gone: base backups, and everything that was written since the oldest."""

__description__ = "pgBackRest: a backup each day, the archive of every change, here and in object storage; drills"
__config__ = {
    "postgresql.backup.path": {"description": "Where they lie on this server", "default": "/var/lib/pgbackrest"},
    "postgresql.backup.calendar": {"description": "When, as OnCalendar has it", "default": "*-*-* 02:30:00"},
    "postgresql.backup.full_days": {
        "description": "Days after which one is a full one; those between hold what differs from it",
        "default": 7,
    },
    "postgresql.backup.keep_full": {"description": "How many full ones are kept here", "default": 2},
    "postgresql.backup.keep_full_remote": {"description": "And how many in object storage", "default": 4},
    "postgresql.backup.s3": {
        "description": "Object storage: {bucket, endpoint, region, key, secret, path, uri_style, cipher_pass}; or None",
        "default": None,
    },
}
