"""dbserver: PostgreSQL for the sites, reached by those who run them."""

from __future__ import annotations

from typing import Any

from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment, Opening, open_to
from deploymachine.settings import Settings


def attributes(server: Server, deployment: Deployment) -> dict[str, Any]:
    databases = deployment.settings.DATABASES
    owners = sorted({database.owner for database in databases.values()})
    return {
        "postgresql.roles": {owner: deployment.secrets.password(f"database-{owner}") for owner in owners},
        "postgresql.databases": [{"name": name, "owner": database.owner} for name, database in databases.items()],
        "postgresql.clients": _clients(deployment),
        "postgresql.listen_addresses": [server.private_ip],
        "postgresql.memory_mb": server.memory_mb or None,
    }


def keeps(_server: Server, _deployment: Deployment) -> str:
    return "its databases"


def openings(settings: Settings) -> list[Opening]:
    return [open_to(kind, 5432, f"PostgreSQL for the {kind}s") for kind in ("appnode", "tasknode")]


def _clients(deployment: Deployment) -> list[dict[str, str]]:
    """Who may connect to what: each database's owner, from each server that runs sites."""
    nodes = [node for kind in ("appnode", "tasknode") for node in deployment.inventory.serving(kind)]
    return [
        {"database": name, "user": database.owner, "address": address}
        for name, database in deployment.settings.DATABASES.items()
        for address in dict.fromkeys(node.private_ip for node in nodes if node.private_ip)
    ]
