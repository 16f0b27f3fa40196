"""The server, listening to sites where it is told, to its own tools on the loopback alone."""

from kokki import *

config = env.config.rabbitmq
TLS = "/etc/rabbitmq/tls"
share = int((config.memory_mb or env.system.memory_mb) * config.memory_share)

Package("rabbitmq-server")
Directory("/etc/rabbitmq", mode=0o755)
proofs = []
if config.identity:
    Directory(TLS, owner="root", group="rabbitmq", mode=0o750)
    key = {"owner": "root", "group": "rabbitmq", "mode": 0o640, "backup": False}
    proofs = [
        File(f"{TLS}/authority.pem", content=config.identity["authority"], mode=0o644),
        File(f"{TLS}/server.pem", content=config.identity["certificate"], mode=0o644),
        File(f"{TLS}/server.key", content=config.identity["key"], **key),
    ]
variables = {"share": share, "tls": TLS}
told = [
    File("/etc/rabbitmq/rabbitmq.conf", content=Template("rabbitmq/rabbitmq.conf.j2", variables), mode=0o644),
    File("/etc/rabbitmq/rabbitmq-env.conf", content=StaticFile("rabbitmq/rabbitmq-env.conf"), mode=0o644),
    SystemdUnit("rabbitmq-server.service.d/deploymachine.conf", content=StaticFile("rabbitmq/unit.conf")),
]
# epmd tells Erlang's own tools where a node listens. It comes up with the first question at this socket.
doors = [
    SystemdUnit("epmd.socket.d/deploymachine.conf", content=StaticFile("rabbitmq/epmd-socket.conf")),
    SystemdUnit("epmd.service.d/deploymachine.conf", content=StaticFile("rabbitmq/epmd-unit.conf")),
]
Service(
    "epmd.socket",
    action="start",
    enabled=True,
    restart_command="systemctl stop epmd.service; systemctl restart epmd.socket",
    subscribes=[("restart", door) for door in doors],
)
Service(
    "rabbitmq-server",
    action="start",
    enabled=True,
    subscribes=[("restart", resource) for resource in (*told, *doors, *proofs)],
)
