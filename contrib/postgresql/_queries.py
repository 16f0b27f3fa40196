"""What the databases are busy with, and an end to a query."""

from __future__ import annotations

from typing import Any

from invoke.context import Context

from deploymachine.contrib.postgresql import _there
from deploymachine.contrib.postgresql._there import YES
from deploymachine.errors import UsageError
from deploymachine.tasks import deployment, task
from deploymachine.tasks._prompt import agreed
from deploymachine.tasks._table import print_json, print_table, written_age

BUSY = """
SELECT pid, datname AS database, usename AS user, coalesce(host(client_addr), 'local') AS client, state,
  extract(epoch FROM now() - coalesce(CASE state WHEN 'active' THEN query_start ELSE state_change END, now()))
    AS seconds,
  coalesce(wait_event_type || ': ' || wait_event, '') AS waits,
  array_to_string(pg_blocking_pids(pid), ', ') AS blocked_by, left(query, 2000) AS query
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
SHOWN = 100  # characters of a query


@task(help={"all": "idle connections, too", "json": "as JSON, queries whole"})
def activity(_: Context, all: bool = False, json: bool = False) -> None:
    """Which queries run, for how long, and who waits for whom: `fab dbserver postgresql.activity`."""
    here = deployment()
    told = _there.ask(_there.keepers(here), BUSY + ("" if all else " AND state <> 'idle'") + " ORDER BY 6 DESC", here)
    if json:
        print_json(told)
        return
    rows = [_row(server, one) for server, found in told.items() for one in found]
    print_table(("server", "pid", "database", "user", "client", "state", "for", "waits", "blocked by", "query"), rows)


@task(
    positional=["pid"],
    help={
        "pid": "which, as postgresql.activity tells it",
        "disconnect": "end the connection, not only the query",
        **YES,
    },
)
def kill_query(_: Context, pid: str, disconnect: bool = False, yes: bool = False) -> None:
    """End a query: `fab dbserver postgresql.kill_query 4711`. What it changed is undone; its connection lives on.

    Asks. Who ran it gets an error. A query that does not listen, or an idle transaction that holds locks: --disconnect.
    """
    if not pid.isdecimal():
        raise UsageError(
            f"{pid!r} is no pid", why="it is a number", hint="`fab dbserver postgresql.activity` shows them"
        )
    here = deployment()
    servers = _there.keepers(here)
    if len(servers) != 1:
        names = ", ".join(server.name for server in servers)
        raise UsageError("On which server?", why=f"{names} are selected", hint=f"`fab server:{servers[0].name} ...`")
    found = _there.ask(servers, f"{BUSY} AND pid = {int(pid)}", here)[servers[0].name]
    if not found:
        raise UsageError(
            f"No connection has the pid {pid}", hint="`fab dbserver postgresql.activity` shows those there are"
        )
    one = found[0]
    if not agreed(f"{one['user']} on {one['database']}, {one['state']}: {_short(one['query'])}. End it?", yes):
        raise UsageError("It goes on")
    how = "pg_terminate_backend" if disconnect else "pg_cancel_backend"
    done = _there.ask(servers, f"SELECT {how}({int(pid)}) AS done", here)[servers[0].name]
    print("It was told to end" if done[0]["done"] else "It had ended already")


def _row(server: str, one: dict[str, Any]) -> list[str]:
    return [
        server,
        str(one["pid"]),
        one["database"] or "",
        one["user"] or "",
        one["client"],
        one["state"] or "",
        written_age(one["seconds"]),
        one["waits"],
        one["blocked_by"],
        _short(one["query"]),
    ]


def _short(query: str) -> str:
    words = " ".join(query.split())
    return words if len(words) <= SHOWN else words[:SHOWN] + "..."
