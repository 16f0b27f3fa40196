"""The journal and the log files, bounded; and the list of those files, for who reads them on the server itself."""

import json

from kokki import *

logs = env.cookbooks.logs

Directory("/etc/systemd/journald.conf.d", mode=0o755)
# By this name it is read after what packages bring, and wins.
journal = File(
    "/etc/systemd/journald.conf.d/zz-deploymachine.conf", content=Template("logs/journald.conf.j2"), mode=0o644
)
Service("systemd-journald", subscribes=[("restart", journal)])

Package("logrotate")
File("/etc/logrotate.conf", content=Template("logs/logrotate.conf.j2"), mode=0o644)
timer = SystemdUnit("logrotate.timer.d/deploymachine.conf", content=StaticFile("logs/hourly.conf"))
Service("logrotate.timer", action="start", enabled=True, subscribes=[("restart", timer)])

Directory("/etc/deploymachine", mode=0o755)
File("/etc/deploymachine/logs.json", content=json.dumps(logs.files(env), indent=1, sort_keys=True) + "\n", mode=0o644)
