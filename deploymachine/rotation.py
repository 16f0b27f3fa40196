"""The name of a secret in; another value of it on all servers that use it out, and nobody ever showed a wrong one.

Where a value is checked by others than show it, the new one is accepted before anybody uses it, and the former one is
given up when nobody uses it any more. What was interrupted goes on where it stopped: the secrets file knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from deploymachine import servertypes
from deploymachine.batches import batches
from deploymachine.converge import Result, run
from deploymachine.cook import checked, cook, on_all, sudo_password
from deploymachine.errors import ConvergeError, UsageError
from deploymachine.inventory import Server
from deploymachine.report import Report
from deploymachine.secrets import Secret
from deploymachine.servertypes import Deployment, _database
from deploymachine.ssh import connect, login

BATCH = (1, "100%")  # a new value meets one server before it meets them all
PATIENCE = 180  # seconds; a worker has thirty for its requests, a task may take two minutes
Recipes = tuple[str, ...]
OF_SITES: dict[str, Recipes] = {"appnode": ("django",), "tasknode": ("celery",)}


@dataclass(frozen=True)
class Uses:
    """Who has to do with a secret. keepers: those who check it, in this order; users: those who show it.

    Each is (servers, recipes); no recipes: all of them. prove: logs in with the new value before anybody relies on it.
    lingers: the former value is accepted until the next rotation, since what was made with it is still about.
    """

    keepers: Sequence[tuple[Sequence[Server], Recipes]] = ()
    users: Sequence[tuple[Sequence[Server], Recipes]] = ()
    prove: Callable[[], None] = field(default=lambda: None)
    lingers: bool = False

    @property
    def servers(self) -> list[Server]:
        """All of them, each once; keepers first."""
        return list(dict.fromkeys(one for servers, _ in (*self.keepers, *self.users) for one in servers))


def gradually(
    name: str,
    value: str,
    uses: Uses,
    deployment: Deployment,
    report: Report,
    *,
    force: bool = False,
    patience: float = PATIENCE,
) -> None:
    """Rotate. force: give the former value up although somebody uses it. Raises what went wrong; a rerun goes on."""
    secrets = deployment.secrets
    report.expect(uses.servers)
    if uses.lingers and secrets.former(name) is not None and secrets.waiting(name) is None:
        secrets.finish(name)
    if secrets.former(name) is None:
        secrets.begin(name, value)
        for servers, recipes in uses.keepers:
            _cook(servers, deployment, report, f"accept {name}", recipes)
        if uses.lingers:
            _take_in(uses, deployment, report, f"accept {name}")
        uses.prove()
        secrets.take_turns(name)
    _take_in(uses, deployment, report, f"use {name}")
    if uses.lingers and not force:
        return
    if not force:
        _wait_until_given_up(name, uses, deployment, report, patience)
    secrets.finish(name)
    _cook(uses.servers, deployment, report, "cook", ())


def at_once(name: str, value: str, servers: Sequence[Server], deployment: Deployment, report: Report) -> None:
    """Another value for a secret that nobody compares with another's, or whose users try again."""
    report.expect(servers)
    deployment.secrets.set(name, value)
    _cook(servers, deployment, report, f"use {name}", ())


def of_database(owner: str, deployment: Deployment, report: Report) -> Uses:
    """A role has one password: a second login that acts as the owner takes turns with it, from pgbouncer on."""
    keepers, nodes = deployment.inventory.serving("dbserver"), _database.nodes(deployment)
    first = _database.primary(deployment)
    ordered = sorted(keepers, key=lambda server: server != first)
    return Uses(
        keepers=[(ordered, ("postgresql",)), (nodes, ("pgbouncer",))],
        users=of_sites(nodes),
        prove=lambda: _log_in(owner, nodes, deployment, report),
    )


def of_sites(nodes: Sequence[Server]) -> list[tuple[Sequence[Server], Recipes]]:
    """The servers that run sites, with the recipes that tell sites their environment."""
    found: dict[Recipes, list[Server]] = {}
    for node in nodes:
        kinds = servertypes.parts(node.type)
        recipes = tuple(recipe for kind, told in OF_SITES.items() if kind in kinds for recipe in told)
        found.setdefault(recipes, []).append(node)
    return [(servers, recipes) for recipes, servers in found.items()]


def _take_in(uses: Uses, deployment: Deployment, report: Report, phase: str) -> None:
    for servers, recipes in uses.users:
        for batch in batches(servers, BATCH):
            _cook(batch, deployment, report, phase, recipes)


def _cook(servers: Sequence[Server], deployment: Deployment, report: Report, phase: str, recipes: Recipes) -> None:
    if servers:
        cook(servers, deployment, report, phase=phase, recipes=recipes)


def _log_in(owner: str, nodes: Sequence[Server], deployment: Deployment, report: Report) -> None:
    """Each server that runs sites logs in to the owner's databases with the value that waits."""
    name = _database.secret_of(owner)
    waiting = deployment.secrets.waiting(name)
    user = next(user for user, value in deployment.secrets.logins(name, owner).items() if value == waiting)
    logins = [
        {"user": user, "password": waiting, "database": database, "port": _database.POOLER_PORT}
        for database, one in deployment.settings.DATABASES.items()
        if one.owner == owner
    ]
    _ask(nodes, {"action": "try", "logins": logins}, deployment, report, f"try {name}")


def _wait_until_given_up(name: str, uses: Uses, deployment: Deployment, report: Report, patience: float) -> None:
    former = str(deployment.secrets.former(name))
    values = [Secret(text) for text in dict.fromkeys((former, quote(former, safe="")))]
    nodes = [server for servers, _ in uses.users for server in servers]
    request = {"action": "holders", "values": values, "patience": patience}
    results = _ask(nodes, request, deployment, report, f"wait for the last user of the former {name}")
    left = [
        f"{server.name}: {one['program']} (process {one['pid']})"
        for server, result in zip(nodes, results, strict=True)
        for one in result.result["holders"]
    ]
    if left:
        raise ConvergeError(
            f"The new {name} is in use, but the former one, too: it still holds",
            why=f"{len(left)} processes were started with it and go on",
            hint=f"`fab secrets.rotate {name}` goes on when they have ended; --force does not wait for them",
            evidence=left,
        )


def _ask(
    servers: Sequence[Server], request: dict[str, Any], deployment: Deployment, report: Report, phase: str
) -> list[Result]:
    def one(server: Server) -> Result:
        report.phase(server, phase)
        asked = {"command": "credentials", "host": server.name, **request}
        with connect(server, login(server, deployment.settings), deployment.settings) as connection:
            return checked(run(connection, asked, report.event, sudo_password=sudo_password(server, deployment)))

    return on_all(servers, report, one) if servers else []


def refuse(name: str) -> None:
    """Raises UsageError for what can't be rotated without losing what depends on it."""
    if name == "backup-cipher":
        raise UsageError(
            "backup-cipher can't be rotated",
            why="all backups there are in object storage are encrypted with it",
            hint="name another BACKUP_S3['path'] and remove it with `fab secrets.edit`: new backups begin there",
        )
    if name == "authority-key":
        raise UsageError(
            "authority-key can't be rotated",
            why="every server trusts this one authority, and they can't all learn of another in one moment",
            hint="remove it with `fab secrets.edit`, then `fab everything kokki`: until that is over they are apart",
        )
