"""Base backups of all databases: made, listed, brought back, and proven by a drill."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from invoke.context import Context

from deploymachine.contrib.postgresql._there import YES, megabytes
from deploymachine.errors import UsageError
from deploymachine.tasks import deployment, selected, task
from deploymachine.tasks._prompt import agreed
from deploymachine.tasks._report import reported
from deploymachine.tasks._table import print_json, print_table, written_age


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
            megabytes(one["size"]),
            megabytes(one["stored"]),
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
    aside, size = answer["aside"], megabytes(answer["size"])
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
