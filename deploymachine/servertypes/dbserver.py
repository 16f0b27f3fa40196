"""dbserver: PostgreSQL for the sites, reached by the appnodes only."""

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


def openings(settings: Settings) -> list[Opening]:
    return [open_to("appnode", 5432, "PostgreSQL for the appnodes")]


def _clients(deployment: Deployment) -> list[dict[str, str]]:
    """Who may connect to what: each database's owner, from each appnode."""
    return [
        {"database": name, "user": database.owner, "address": node.private_ip}
        for name, database in deployment.settings.DATABASES.items()
        for node in deployment.inventory.serving("appnode")
        if node.private_ip
    ]
