"""supervisord, obeying root alone, at a socket; no port is opened, and its unit can do little but start programs."""

from kokki import *

Package("supervisor")
configuration = File("/etc/supervisor/supervisord.conf", content=StaticFile("supervisor/supervisord.conf"), mode=0o644)
unit = SystemdUnit("supervisor.service.d/deploymachine.conf", content=Template("supervisor/unit.conf.j2"))
# At once: the programs declared after it are told to the final one.
Service(
    "supervisor",
    action="start",
    enabled=True,
    subscribes=[("restart", changed, True) for changed in (configuration, unit)],
)
Execute(
    "update supervisor",
    # supervisord counts as started before it can be spoken to
    command="timeout 20 sh -c 'until supervisorctl pid; do sleep 0.2; done' && supervisorctl update",
    action="nothing",
)
