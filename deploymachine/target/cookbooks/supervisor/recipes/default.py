"""supervisord, obeying root alone, at a socket; no port is opened."""

from kokki import *

Package("supervisor")
supervisor = Service("supervisor", action="start", enabled=True)
File(
    "/etc/supervisor/supervisord.conf",
    content=StaticFile("supervisor/supervisord.conf"),
    mode=0o644,
    notifies=[("restart", supervisor, True)],  # at once: the programs declared after it want the final one
)
Execute("update supervisor", command="supervisorctl update", action="nothing")
