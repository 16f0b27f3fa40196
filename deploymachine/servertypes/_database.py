"""Who keeps the sites' databases, and the way there: a pgbouncer on each server that runs sites."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deploymachine import authority
from deploymachine.errors import SettingsError, UsageError
from deploymachine.inventory import Server
from deploymachine.secrets import Secret
from deploymachine.servertypes import Deployment

PORT, POOLER_PORT = 5432, 6432
SITES = ("appnode", "tasknode")  # the types that run them
OTHERS = 10  # connections that are no site's: superusers, backups, whoever looks at the server


def primary(deployment: Deployment) -> Server | None:
    """The server that databases are written on: the one that was promoted, else launched, else booted first.

    What is noted here is no more than a claim: a server whose own data say otherwise refuses to be cooked.
    """
    keepers = deployment.inventory.serving("dbserver")
    noted = deployment.leads or _noted(deployment)
    return next((one for one in keepers if one.name == noted), None) or next(iter(deployment.staying("dbserver")), None)


def record_primary(server: Server, deployment: Deployment) -> None:
    """Have every later run take that server for the primary."""
    _note(deployment).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = _note(deployment).with_suffix(".new")
    temporary.write_text(f"{server.name}\n")
    temporary.replace(_note(deployment))


def settle(launched: Iterable[Server], deployment: Deployment) -> None:
    """Note who leads once it has been launched: whoever joins from then on follows, whatever its name and its age.

    A note of one that is gone is replaced, so that a newcomer of its name does not lead.
    """
    leads = primary(deployment)
    if leads is not None and leads in launched and leads.name != _noted(deployment):
        record_primary(leads, deployment)


def standing(server: Server, deployment: Deployment) -> dict[str, Any]:
    """The attributes by which a dbserver knows whether it leads or follows, and the others."""
    leads = primary(deployment)
    peers = [node for node in deployment.inventory.serving("dbserver") if node != server and node.private_ip]
    return {
        "postgresql.primary": {"name": leads.name, "address": leads.private_ip, "port": PORT}
        if leads is not None and leads != server
        else None,
        "postgresql.replicas": [
            {"name": node.name, "address": node.private_ip, "slot": slot(node.name)} for node in peers
        ],
        "postgresql.replication_password": deployment.secrets.password("database-replication") if peers else None,
        "postgresql.slot": slot(server.name),
    }


def object_storage(deployment: Deployment) -> dict[str, Any] | None:
    """Where backups go besides the server's own disk, with what it takes to write there. Raises SettingsError."""
    wanted = deployment.settings.BACKUP_S3
    if wanted is None:
        return None
    file = deployment.settings.directory / Path(wanted.secret_file).expanduser()
    try:
        secret = Secret(file.read_text(encoding="utf-8").strip())
    except (OSError, ValueError) as error:
        raise SettingsError("BACKUP_S3['secret_file'] can't be read", where=str(file), why=str(error)) from None
    if not secret or "\n" in secret:
        raise SettingsError("BACKUP_S3['secret_file'] has to hold the secret key, and nothing else", where=str(file))
    told = wanted.model_dump(exclude={"secret_file"})
    return {**told, "secret": secret, "cipher_pass": deployment.secrets.key("backup-cipher")}


def slot(name: str) -> str:
    """The name by which the primary keeps for a replica what that one has not got yet."""
    return f"dm_{name.replace('-', '_')}"


def _noted(deployment: Deployment) -> str:
    return _note(deployment).read_text().strip() if _note(deployment).exists() else ""


def _note(deployment: Deployment) -> Path:
    return deployment.settings.state / "database-primary"


def nodes(deployment: Deployment) -> list[Server]:
    """The servers that run sites, each once."""
    found = [node for kind in SITES for node in deployment.inventory.serving(kind) if node.private_ip]
    return list(dict.fromkeys(found))


def password(owner: str, deployment: Deployment) -> Secret:
    return deployment.secrets.password(secret_of(owner))


def secret_of(owner: str) -> str:
    """The name of an owner's password among the secrets."""
    return f"database-{owner}"


def login(owner: str, deployment: Deployment) -> str:
    """Who sites log in as: the owner, or, since a role has but one password, the login that takes turns with it."""
    return deployment.secrets.login(secret_of(owner), owner)


def logins(deployment: Deployment) -> dict[str, dict[str, Secret | None]]:
    """Owner -> every login of its, each with its password; None: nobody may use that one."""
    owners = sorted({one.owner for one in deployment.settings.DATABASES.values()})
    return {owner: deployment.secrets.logins(secret_of(owner), owner) for owner in owners}


def url(database: str, site: str, deployment: Deployment) -> Secret:
    """What a site is told as DATABASE_URL: the pgbouncer beside it, wherever the database is. Raises UsageError."""
    if primary(deployment) is None:
        raise UsageError(
            f"The site {site} wants the database {database}, but no server holds databases",
            why="there is no server of type dbserver (or dbappbalancer)",
            hint="name one in OPENSTACK_SERVERS, then boot and provision it, `fab dbserver launch`",
        )
    owner = deployment.settings.DATABASES[database].owner
    quoted = quote(password(owner, deployment), safe="")
    user = login(owner, deployment)
    return Secret(f"postgresql://{user}:{quoted}@127.0.0.1:{POOLER_PORT}/{database}")


def pooler(server: Server, deployment: Deployment) -> dict[str, Any]:
    """The attributes of the cookbook `pgbouncer` on a server that runs sites."""
    databases, keeper = deployment.settings.DATABASES, primary(deployment)
    if keeper is None or not databases:
        return {"pgbouncer.databases": []}
    return {
        "pgbouncer.databases": [
            {"name": name, "owner": one.owner, "pooling": one.pooling, "connections": _share(deployment)}
            for name, one in databases.items()
        ],
        "pgbouncer.passwords": {
            user: secret
            for users in logins(deployment).values()
            for user, secret in users.items()
            if secret is not None
        },
        # On the server that keeps them itself, by its Unix socket; from elsewhere over TLS, its name checked.
        "pgbouncer.server": None if keeper == server else {"address": keeper.private_ip, "port": PORT},
        "pgbouncer.authority": authority.certificate(deployment),
        "pgbouncer.port": POOLER_PORT,
    }


def _share(deployment: Deployment) -> int:
    """How many connections each pgbouncer may have to each database: all of them together are never too many."""
    settings = deployment.settings
    pools = max(1, len(nodes(deployment))) * len(settings.DATABASES)
    share = (settings.DATABASE_CONNECTIONS - OTHERS) // pools
    if share < 1:
        raise UsageError(
            f"{settings.DATABASE_CONNECTIONS} connections to PostgreSQL are not enough",
            why=f"{pools} pools ({len(nodes(deployment))} servers that run sites, {len(settings.DATABASES)} databases)"
            f" share them, and {OTHERS} are kept for others",
            hint=f"DATABASE_CONNECTIONS in settings.py has to be {pools + OTHERS} at least",
        )
    return share
