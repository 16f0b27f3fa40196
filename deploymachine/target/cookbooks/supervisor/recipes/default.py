"""supervisord, obeying root alone, at a socket; no port is opened."""

from kokki import *

Package("supervisor")
configuration = File("/etc/supervisor/supervisord.conf", content=StaticFile("supervisor/supervisord.conf"), mode=0o644)
# At once: the programs declared after it are told to the final one.
Service("supervisor", action="start", enabled=True, subscribes=[("restart", configuration, True)])
Execute(
    "update supervisor",
    # supervisord counts as started before it can be spoken to
    command="timeout 20 sh -c 'until supervisorctl pid; do sleep 0.2; done' && supervisorctl update",
    action="nothing",
)
