"""dbserver: PostgreSQL for the sites, reached by those who run them."""

from __future__ import annotations

from typing import Any

from deploymachine import authority
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment, Opening, _database, open_to, parts
from deploymachine.settings import Settings

LETS_IN = ("dbserver",)
ALONE, SHARED = 1.0, 0.5  # of the machine's memory: where it is all there is, and beside sites


def attributes(server: Server, deployment: Deployment) -> dict[str, Any]:
    databases = deployment.settings.DATABASES
    logins = _database.logins(deployment)
    return {
        "postgresql.roles": {user: secret for users in logins.values() for user, secret in users.items()},
        "postgresql.acting": {user: owner for owner, users in logins.items() for user in users if user != owner},
        "postgresql.databases": [
            {"name": name, "owner": database.owner, "postgis": database.postgis} for name, database in databases.items()
        ],
        **_database.standing(server, deployment),
        "postgresql.clients": _clients(server, deployment),
        "postgresql.identity": authority.server_certificate(server, deployment),
        "postgresql.backup.s3": _database.object_storage(deployment),
        "postgresql.listen_addresses": [server.private_ip],
        "postgresql.port": _database.PORT,
        "postgresql.max_connections": deployment.settings.DATABASE_CONNECTIONS,
        "postgresql.memory_mb": server.memory_mb or None,
        "postgresql.memory_share": ALONE if parts(server.type) == ("dbserver",) else SHARED,
    }


def keeps(_server: Server, _deployment: Deployment) -> str:
    return "its databases"


def openings(settings: Settings) -> list[Opening]:
    """Those who run sites; and, where there are to be several, dbservers, which copy from each other."""
    named = [*settings.OPENSTACK_SERVERS.items(), *settings.SERVERS.items()]
    keepers = sum(len(servers) for kind, servers in named if "dbserver" in parts(kind))
    kinds = (*_database.SITES, *(("dbserver",) if keepers > 1 else ()))
    return [open_to(kind, _database.PORT, f"PostgreSQL for the {kind}s") for kind in kinds]


def _clients(server: Server, deployment: Deployment) -> list[dict[str, str]]:
    """Who may connect to what: each database's owner, by its logins, from each server that runs sites."""
    logins = _database.logins(deployment)
    addresses = ["local" if node == server else node.private_ip for node in _database.nodes(deployment)]
    return [
        {"database": name, "user": user, "address": address}
        for name, database in deployment.settings.DATABASES.items()
        for user, secret in logins[database.owner].items()
        for address in addresses
        if secret is not None
    ]
