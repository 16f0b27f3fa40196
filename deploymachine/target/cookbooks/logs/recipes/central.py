"""A lognode: what rsyslog takes in there is kept for so many days, and in so much disk."""

from kokki import *

DIRECTORY = "/usr/local/lib/deploymachine"

Directory(DIRECTORY, mode=0o755)
File(f"{DIRECTORY}/log-retention", content=StaticFile("logs/log-retention"), mode=0o755)
units = [
    SystemdUnit("deploymachine-log-retention.service", content=Template("logs/log-retention.service.j2")),
    SystemdUnit("deploymachine-log-retention.timer", content=StaticFile("logs/log-retention.timer")),
]
Service("deploymachine-log-retention.timer", action="start", enabled=True, subscribes=[("restart", units[1])])
