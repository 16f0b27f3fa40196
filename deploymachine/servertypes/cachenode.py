"""cachenode: Redis for the sites, reached by those who run them; several copy what is written to the first."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from deploymachine.inventory import Server
from deploymachine.secrets import Secret
from deploymachine.servertypes import Deployment, Opening, _private, open_to, parts
from deploymachine.settings import Settings

LETS_IN = ("cachenode",)
PORT = 6379
ALONE, SHARED = 0.6, 0.125  # of the machine's memory: where it is all there is, and beside others


def attributes(server: Server, deployment: Deployment) -> dict[str, Any]:
    secrets, deployment_name = deployment.secrets, deployment.settings.DEPLOYMENT
    first = deployment.staying("cachenode")[:1]
    return {
        "redis.listen_addresses": [server.private_ip],
        "redis.identity": _private.identity(server, deployment),
        "redis.users": {_user(deployment): secrets.password("cache")},
        "redis.more_passwords": {_user(deployment): secrets.besides("cache")},
        "redis.memory_mb": server.memory_mb or None,
        "redis.memory_share": ALONE if parts(server.type) == ("cachenode",) else SHARED,
        "redis.databases": max(16, len(deployment.settings.SITES)),
        "redis.replicas": {
            "user": f"{deployment_name}.replica",
            "password": secrets.password("cache-replica"),
            "besides": secrets.besides("cache-replica"),
        },
        "redis.keeper": {
            "user": f"{deployment_name}.keeper",
            "password": secrets.password("cache-keeper"),
            "besides": secrets.besides("cache-keeper"),
        },
        "redis.replica_of": None if server in first else next((one.private_ip for one in first), None),
    }


def openings(settings: Settings) -> list[Opening]:
    return [open_to(kind, PORT, f"Redis for the {kind}s") for kind in ("appnode", "tasknode", "cachenode")]


def urls(site: str, deployment: Deployment) -> Secret | None:
    """Where a site finds its cache: the node that is written to, then those that copy it; None where there is none.

    Each site has a numbered database, so that one that empties its cache leaves the others' alone. Of one that is about
    to take over, or has handed over, nobody is told.
    """
    every = deployment.staying("cachenode")
    nodes = [node for node in every if (node.name, "cachenode") not in deployment.behind] or every
    number = list(deployment.settings.SITES).index(site)
    login = f"{_user(deployment)}:{quote(deployment.secrets.password('cache'), safe='')}" if nodes else ""
    scheme = _private.scheme("redis", deployment.settings)
    found = [f"{scheme}://{login}@{node.private_ip}:{PORT}/{number}" for node in nodes]
    return Secret(",".join(found)) if found else None


def _user(deployment: Deployment) -> str:
    return f"{deployment.settings.DEPLOYMENT}.sites"
