"""Back up and bring back the databases, and have another server lead them."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from deploymachine.errors import ConvergeError, UsageError
from deploymachine.tasks import deployment, selected, task
from deploymachine.tasks._prompt import agreed, typed
from deploymachine.tasks._report import reported
from deploymachine.tasks._table import print_json, print_table, written_age

if TYPE_CHECKING:
    from deploymachine.inventory import Server
    from deploymachine.servertypes import Deployment

YES = {"yes": "do not ask"}


@task(help={"full": "everything anew, not only what differs from the last full one"})
def backup(_: Context, full: bool = False) -> None:
    """Make a base backup now: `fab dbserver postgresql.backup`."""
    from deploymachine import databases

    here = deployment()
    server = databases.primary_among(selected(here.inventory), here)
    with reported() as shown:
        databases.do(server, "backup", here, shown, full=full)


@task(help={"json": "as JSON"})
def backups(_: Context, json: bool = False) -> None:
    """List the base backups there are: `fab dbserver postgresql.backups`."""
    from deploymachine import databases

    here = deployment()
    server = databases.primary_among(selected(here.inventory), here)
    found = databases.look(server, "backups", here)["backups"]
    if json:
        print_json(found)
        return
    now = time.time()
    rows = [
        [
            one["label"],
            one["type"],
            "here" if one["repository"] == 1 else "object storage",
            f"{datetime.fromtimestamp(one['ended'], timezone.utc):%Y-%m-%d %H:%M:%S}",
            written_age(now - one["ended"]),
            _megabytes(one["size"]),
            _megabytes(one["stored"]),
            "whole" if one["ok"] else "DAMAGED",
        ]
        for one in found
    ]
    print_table(["backup", "kind", "where", "complete at (UTC)", "age", "databases", "stored", "state"], rows)


@task(help={"to_time": "as of then: '2026-01-31 12:00' (UTC); else the newest there is", **YES})
def restore(_: Context, to_time: str = "", yes: bool = False) -> None:
    """Bring all databases back from the backups; what they are now is kept aside: `fab dbserver postgresql.restore`."""
    from deploymachine import databases

    here = deployment()
    server = databases.primary_among(selected(here.inventory), here)
    when = databases.moment(to_time, datetime.now(timezone.utc)) if to_time else ""
    followers = [peer.name for peer in here.inventory.serving("dbserver") if peer != server]
    what = f"All databases on {server.name} become what they were at {to_time} (UTC)" if when else ""
    what = what or f"All databases on {server.name} are brought back from the backups, as of now"
    if not agreed(f"{what}. Sites can't reach them for a moment, and what is written meanwhile is lost. Go on?", yes):
        raise UsageError("Nothing was restored")
    with reported() as shown:
        answer = databases.do(server, "restore", here, shown, to_time=when)
    aside, size = answer["aside"], _megabytes(answer["size"])
    print(f"What was there until now: {aside} on {server.name}, {size}; remove it some day")
    for name in followers:
        print(f"{name} has to copy it anew: `fab server:{name} postgresql.follow --server {name}`")


@task()
def restore_drill(_: Context) -> None:
    """Prove the backups: restore them into a throwaway cluster, check it, count its rows; nothing of it is left."""
    from deploymachine import databases

    here = deployment()
    server = databases.primary_among(selected(here.inventory), here)
    with reported() as shown:
        found = databases.do(server, "drill", here, shown)["drill"]
    age = written_age(found["at"] - found["backup_at"])
    print(f"backup {found['backup']} ({found['type']}, {age} old) and the archive since: {found['restore_seconds']} s")
    moving = f", {found['moving']} of them written to meanwhile" if found["moving"] else ""
    print(f"{found['tables']} tables with {found['rows']} rows{moving}: as they are; pg_amcheck finds nothing")
    print(f"{found['seconds']} s in all")


@task(help={"json": "as JSON"})
def state(_: Context, json: bool = False) -> None:
    """Who leads, who follows how far behind, and how old the backups are: `fab dbserver postgresql.state`."""
    from deploymachine import databases

    here = deployment()
    found = {server.name: databases.look(server, "state", here) for server in _keepers(here)}
    if json:
        print_json(found)
        return
    rows = [_state_row(name, one) for name, one in found.items()]
    print_table(["server", "role", "version", "connections", "databases", "behind", "last backup"], rows)


@task()
def primary(_: Context) -> None:
    """Ask the selected dbservers who leads, and note it here for all later runs."""
    from deploymachine import databases
    from deploymachine.servertypes import _database

    here = deployment()
    leading = [s for s in _keepers(here) if databases.look(s, "state", here)["role"] == "primary"]
    if len(leading) != 1:
        names = ", ".join(server.name for server in leading) or "none of them"
        raise ConvergeError(
            f"There has to be one primary; these are: {names}",
            hint="`fab dbserver postgresql.promote --server NAME` says which it is",
        )
    _database.record_primary(leading[0], here)
    print(f"{leading[0].name} leads; `fab everything kokki` tells everybody")


@task(
    help={
        "server": "the replica that shall lead",
        "yes_i_mean_it": "name of an old primary that does not answer, and is off for sure",
        **YES,
    }
)
def promote(_: Context, server: str, yes: bool = False, yes_i_mean_it: str = "") -> None:
    """Have a replica lead, the old primary stopped for good: `fab dbserver postgresql.promote --server dbserver2`."""
    from deploymachine import databases

    here = deployment()
    selected(here.inventory)
    new = here.inventory.named(server)
    old = databases.old_primary(new, here)
    if old is not None and old.silent:
        why = (
            f"{old.server.name} does not answer. If it still runs there would be two that are written to: switch it off"
        )
        if not typed(why, old.server.name, yes_i_mean_it):
            raise UsageError("Nobody was promoted")
    elif not agreed(f"{_handing_over(old.server.name if old else '')}{new.name} leads from now on. Go on?", yes):
        raise UsageError("Nobody was promoted")
    with reported() as shown:
        databases.promote(new, None if old is None or old.silent else old.server, here, shown)
    if old is not None:
        print(f"`fab server:{old.server.name} postgresql.follow --server {old.server.name}` makes it a replica")


@task(help={"server": "who shall follow the primary", **YES})
def follow(_: Context, server: str, yes: bool = False) -> None:
    """Make a server a fresh copy of the primary; data of its own are kept aside."""
    from deploymachine import databases

    here = deployment()
    selected(here.inventory)
    one = here.inventory.named(server)
    if not agreed(f"{one.name} gives up what it has and copies the primary. Go on?", yes):
        raise UsageError("Nothing was changed")
    with reported() as shown:
        databases.follow(one, here, shown)


def _handing_over(old: str) -> str:
    return f"{old} stops taking writes, for good: sites can't write for a moment. " if old else ""


def _keepers(here: Deployment) -> list[Server]:
    able = here.inventory.serving("dbserver")
    chosen = [server for server in selected(here.inventory) if server in able]
    if not chosen:
        raise UsageError("None of the selected servers keeps databases", hint="`fab dbserver postgresql.state`")
    return chosen


def _state_row(name: str, found: dict[str, Any]) -> list[str]:
    backup = found.get("backup")
    behind = [f"{one['name']}: {_megabytes(one['lag_bytes'] or 0)}" for one in found.get("replicas", ())]
    if found["role"] == "replica":
        behind = [written_age(found["lag_seconds"] or 0.0) if found["receiving"] else "NOT CONNECTED"]
    return [
        name,
        found["role"],
        found["version"],
        str(found.get("connections", "")),
        _megabytes(found["size"]) if "size" in found else "",
        ", ".join(behind),
        written_age(time.time() - backup["ended"]) if backup else "none",
    ]


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB"
