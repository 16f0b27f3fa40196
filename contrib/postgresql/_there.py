"""What these tasks share: the servers that keep databases, a database's name, a query and its answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from deploymachine.contrib._servers import on_servers
from deploymachine.errors import UsageError
from deploymachine.tasks import selected

if TYPE_CHECKING:
    from deploymachine.inventory import Server
    from deploymachine.remote import Order
    from deploymachine.servertypes import Deployment

YES = {"yes": "do not ask"}
DATABASE = {"database": "its name; where DATABASES in settings.py has only one it may be left out"}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,62}")  # others would be read as more than a name by psql


def keepers(here: Deployment) -> list[Server]:
    """The selected servers that keep databases. Raises UsageError."""
    able = here.inventory.serving("dbserver")
    chosen = [server for server in selected(here.inventory) if server in able]
    if not chosen:
        raise UsageError("None of the selected servers keeps databases", hint="`fab dbserver postgresql.state`")
    return chosen


def primary(here: Deployment) -> Server:
    """The selected server that databases are written on. Raises UsageError."""
    from deploymachine import databases

    return databases.primary_among(selected(here.inventory), here)


def chosen(database: str, here: Deployment) -> str:
    """The database itself, the only one of DATABASES where none is named. Raises UsageError."""
    names = list(here.settings.DATABASES)
    if database and not NAME.fullmatch(database):
        raise UsageError(
            f"{database!r} can't be a database's name", why=f"those there are: {', '.join(names) or 'none'}"
        )
    if database:
        return database
    if len(names) != 1:
        why = f"those there are: {', '.join(names)}" if names else "DATABASES in settings.py names none"
        raise UsageError("Which database?", why=why, hint="`--database NAME` says it")
    return names[0]


def psql(database: str, words: Sequence[str] = (), given: Iterable[bytes] = (), role: str = "") -> Order:
    """psql as the server's own superuser, or in the name of `role`. given: SQL, which an argument list would show."""
    from deploymachine.remote import Order

    options = "-c statement_timeout=0" + (f" -c role={role}" if role else "")
    argv = ["env", "-C", "/", f"PGOPTIONS={options}", "psql", "-X", "-v", "ON_ERROR_STOP=1", *words, "-d", database]
    return Order(argv, "postgres", given, called="psql")


def ask(
    servers: Sequence[Server], sql: str, here: Deployment, database: str = "postgres", **values: str
) -> dict[str, list[dict[str, Any]]]:
    """Server name -> the rows that a SELECT yields there. values: psql's own variables, :'name' in the SQL."""
    query = f"SELECT coalesce(json_agg(row_to_json(found)), '[]') FROM ({sql}) AS found;"  # noqa: S608 (ours)
    words = ["-qAt", *(word for name, value in values.items() for word in ("-v", f"{name}={value}"))]
    told = on_servers(servers, psql(database, words, [query.encode()]), here, quiet=True)
    return {name: json.loads(text) for name, text in told.items()}


def megabytes(size: float) -> str:
    """Of what is smaller than a tenth of one, kilobytes."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
