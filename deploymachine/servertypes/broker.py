"""broker: RabbitMQ on a server of its own, for those who hand out tasks and those who do them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from deploymachine.inventory import Server
from deploymachine.secrets import Secret
from deploymachine.servertypes import Deployment, Opening, _private, open_to, parts
from deploymachine.settings import Settings

PORT = 5672
ALONE, SHARED = 0.4, 0.2  # of the machine's memory, for messages: where it is all there is, and beside workers


def attributes(server: Server, deployment: Deployment) -> dict[str, Any]:
    names = [name for name, site in deployment.settings.SITES.items() if site.celery is not None]
    logins = {name: deployment.secrets.logins(secret_of(name), name) for name in names}
    return {
        "rabbitmq.run": server == node(deployment),
        "rabbitmq.listen_addresses": [server.private_ip],
        "rabbitmq.identity": _private.identity(server, deployment),
        "rabbitmq.users": {user: secret for users in logins.values() for user, secret in users.items()},
        "rabbitmq.vhosts": {user: name for name, users in logins.items() for user in users},
        "rabbitmq.memory_mb": server.memory_mb or None,
        "rabbitmq.memory_share": ALONE if parts(server.type) == ("broker",) else SHARED,
    }


def keeps(server: Server, deployment: Deployment) -> str:
    return "the tasks that wait in its queues" if server == node(deployment) else ""


def openings(settings: Settings) -> list[Opening]:
    return [open_to(kind, PORT, f"RabbitMQ for the {kind}s") for kind in ("appnode", "tasknode")]


def node(deployment: Deployment) -> Server | None:
    """The server that RabbitMQ runs on: the first broker, or, where settings.py names none, the first tasknode."""
    if not has_own(deployment.settings):
        return deployment.first("tasknode")
    own = deployment.first("broker")
    # One that is behind waits for the tasknode that still has the queues; else it is the broker or nobody.
    waits = own is not None and (own.name, "broker") in deployment.behind
    return deployment.first("broker", "tasknode") if waits else own


def has_own(settings: Settings) -> bool:
    """Whether settings.py gives RabbitMQ a server of its own."""
    return any(servers and "broker" in parts(kind) for kind, servers in _named(settings))


def url(site: str, deployment: Deployment) -> Secret | None:
    """Where a site hands its tasks in and takes them out: its own vhost; None where there is no broker."""
    broker = node(deployment)
    if broker is None or deployment.settings.SITES[site].celery is None:
        return None
    password = quote(_password(site, deployment), safe="")
    scheme = _private.scheme("amqp", deployment.settings)
    user = deployment.secrets.login(secret_of(site), site)
    return Secret(f"{scheme}://{user}:{password}@{broker.private_ip}:{PORT}/{site}")


def _password(site: str, deployment: Deployment) -> Secret:
    return deployment.secrets.password(secret_of(site))


def secret_of(site: str) -> str:
    """The name of a site's password at the broker among the secrets."""
    return f"broker-{site}"


def _named(settings: Settings) -> list[tuple[str, Any]]:
    return [*settings.OPENSTACK_SERVERS.items(), *settings.SERVERS.items()]
