"""The name of a secret in; who has to do with it, and how it can be changed without anybody noticing, out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deploymachine import certificates, rotation_sudo, servertypes
from deploymachine.errors import UsageError
from deploymachine.inventory import Server
from deploymachine.rotation import Recipes, Rotation, Uses, at_once
from deploymachine.secret_uses import kind, of_sites
from deploymachine.secrets import new_key
from deploymachine.servertypes import Deployment, _database, broker
from deploymachine.site_names import known

KEEPING = ("postgresql", "pgbackrest")  # of which each asks for what the other is told
OF_SITES: dict[str, Recipes] = {"appnode": ("django",), "tasknode": ("celery",)}
REFUSED = {
    "backup-cipher": (
        "all backups there are in object storage are encrypted with it",
        "name another BACKUP_S3['path'] and remove it with `fab secrets.edit`: new backups begin there",
    ),
    "authority-key": (
        "every server trusts this one authority, and they can't all learn of another in one moment",
        "remove it with `fab secrets.edit`, then `fab everything kokki`: until that is over they are apart",
    ),
    "deploy-password-hash": ("it follows from the password", "`fab secrets.rotate deploy-password`"),
}


def plan(name: str, deployment: Deployment) -> Uses:
    """How to rotate it. Raises UsageError where there is no such secret, or it can't be."""
    what, how, of = kind(name)
    if name in REFUSED:
        why, hint = REFUSED[name]
        raise UsageError(f"{name} can't be rotated", why=why, hint=hint)
    if how:
        return PLANS[how](of, deployment)
    if what:
        hint = f"`fab git.deploy_key --site {of} --rotate`"
        raise UsageError(f"{name} is not rotated here", why="its public half has to be let in first", hint=hint)
    if name not in of_sites(deployment.settings):
        raise UsageError(f"Nothing uses a secret {name!r}", hint="`fab secrets.list` names those there are")
    return Uses(users=sites(_database.nodes(deployment)), make=None, how=at_once)


def sites(nodes: Sequence[Server]) -> list[tuple[Sequence[Server], Recipes]]:
    """The servers that run sites, with the recipes that tell sites their environment."""
    found: dict[Recipes, list[Server]] = {}
    for node in nodes:
        kinds = servertypes.parts(node.type)
        recipes = tuple(recipe for kind, told in OF_SITES.items() if kind in kinds for recipe in told)
        found.setdefault(recipes, []).append(node)
    return [(servers, recipes) for recipes, servers in found.items()]


def _database_plan(owner: str, deployment: Deployment) -> Uses:
    """A role has one password: a second login that acts as the owner takes turns with it, from pgbouncer on."""
    if owner not in {one.owner for one in deployment.settings.DATABASES.values()}:
        raise UsageError(f"No database of settings.py belongs to {owner!r}")
    first, nodes = _database.primary(deployment), _database.nodes(deployment)
    ordered = sorted(deployment.inventory.serving("dbserver"), key=lambda server: server != first)

    def prove(rotation: Rotation) -> None:
        waiting = rotation.secrets.waiting(rotation.name)
        logins = rotation.secrets.logins(rotation.name, owner)
        asked = [
            {"user": user, "password": value, "database": database, "port": _database.POOLER_PORT}
            for user, value in logins.items()
            for database, one in deployment.settings.DATABASES.items()
            if value == waiting and one.owner == owner
        ]
        rotation.ask(nodes, f"try {rotation.name}", {"action": "try", "logins": asked})

    return Uses([(ordered, KEEPING), (nodes, ("pgbouncer",))], sites(nodes), prove=prove)


def _site_key(site: str, deployment: Deployment) -> Uses:
    return Uses(
        users=sites(_of(site, deployment)),
        make=new_key,
        lingers=True,
        warning="Who is logged in stays so where the site's settings read SECRET_KEY_FALLBACKS. ",
        afterwards="The former one stands in SECRET_KEY_FALLBACKS until the next rotation, or until one with --force.",
    )


def _replication(_of: str, deployment: Deployment) -> Uses:
    """What streams goes on; a connection made anew between two cooks is tried again by PostgreSQL."""
    return Uses([(deployment.inventory.serving("dbserver"), ())], how=at_once)


def _site_tls(_site: str, deployment: Deployment) -> Uses:
    balancers = deployment.inventory.serving("loadbalancer")
    warning = "Visitors see another self-signed certificate, where it is one. "
    return Uses([(balancers, ())], make=certificates.new_key, how=at_once, warning=warning)


def _server_tls(server: str, deployment: Deployment) -> Uses:
    return Uses([([deployment.inventory.named(server)], ())], make=certificates.new_key, how=at_once)


def _of(site: str, deployment: Deployment) -> list[Server]:
    known(site, deployment.settings.SITES)
    return _database.nodes(deployment)


def _sudo(_of: str, deployment: Deployment) -> Uses:
    return Uses([(deployment.inventory.servers, ())], how=rotation_sudo.rotate)


def _cache(_of: str, deployment: Deployment) -> Uses:
    keepers = deployment.inventory.serving("cachenode")
    warning = "Each cache restarts, and is empty then. "
    return Uses([(keepers, ("redis",))], sites(_database.nodes(deployment)), warning=warning)


def _cache_replica(_of: str, deployment: Deployment) -> Uses:
    keepers = [(deployment.inventory.serving("cachenode"), ("redis",))]
    return Uses(keepers, keepers, warning="Each cache restarts, and is empty then. ")


def _broker(site: str, deployment: Deployment) -> Uses:
    """As a database: two users of one vhost take turns."""
    node, users = broker.node(deployment), _of(site, deployment)
    if node is None or deployment.settings.SITES[site].celery is None:
        raise UsageError(f"{site} hands its tasks to no broker")
    return Uses([([node], ("rabbitmq",))], sites(users))


PLANS: dict[str, Callable[[str, Deployment], Uses]] = {
    "database": _database_plan,
    "site-key": _site_key,
    "replication": _replication,
    "site-tls": _site_tls,
    "server-tls": _server_tls,
    "sudo": _sudo,
    "cache": _cache,
    "cache-replica": _cache_replica,
    "broker": _broker,
}
