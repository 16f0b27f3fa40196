"""Who leads, changed: a replica that takes over from one that is gone, a server that starts anew."""

from __future__ import annotations

import os
import shutil
import time
from typing import Any, Dict

from kokki import process
from release.steps import Steps
from release.values import Failure

from database import cluster, fence
from database.cluster import RETIRED

PATIENCE = 60  # seconds


def promote(from_lsn: int, steps: Steps) -> Dict[str, Any]:
    """Make a replica the primary. from_lsn: what it must have first (bytes of log); 0: whatever it has."""
    with steps.step("promote") as step:
        here = cluster.here()
        if not here.running():
            raise Failure("PostgreSQL does not run on this server", hint="`fab dbserver kokki` starts it")
        if not here.is_replica():
            step.detail = "it is the primary already"
            return {"lsn": cluster.state(steps)["lsn"]}
        _wait_for(from_lsn)
        cluster.psql(f"SELECT pg_promote(true, {PATIENCE})")
        if cluster.psql("SELECT pg_is_in_recovery()") != "f":
            raise Failure(f"It did not become the primary in {PATIENCE} s", output=cluster.journal(here.unit))
        step.changed("it is the primary now")
    return {"lsn": cluster.state(steps)["lsn"]}


def set_aside(steps: Steps) -> Dict[str, Any]:
    """Make room for a copy of another server's databases; "aside": where this server's own are kept."""
    with steps.step("set aside") as step:
        here = cluster.here()
        if here.running() and not here.is_replica():
            raise Failure(
                "This server is a primary", hint="`fab dbserver postgresql.promote --server NAME` has another take over"
            )
        if here.running():
            here.stop()
        aside, given_up = "", os.path.exists(RETIRED)
        if os.path.isdir(here.data) and here.is_replica() and not given_up:
            shutil.rmtree(here.data)
            step.changed("the old copy is removed")
        elif os.path.isdir(here.data):
            aside = f"{here.data}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
            os.rename(here.data, aside)
            step.changed(f"its own data: {aside}")
        fence.reopen(here)
    return {"aside": aside}


def reached() -> Dict[str, Any]:
    """Whether this replica's primary answers it and lets it in, whatever it has for it then."""
    way = cluster.psql("SHOW primary_conninfo")
    ask = ["psql", "-Xqw", "-d", f"{way} replication=true connect_timeout=5", "-c", "IDENTIFY_SYSTEM"]
    return {"reached": bool(way) and process.run(ask, user="postgres", cwd="/").code == 0}


def _wait_for(lsn: int) -> None:
    until = time.monotonic() + PATIENCE
    while int(cluster.psql("SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint")) < lsn:
        if time.monotonic() > until:
            raise Failure(
                "It has not got everything that the old primary wrote",
                hint="it was not connected to it; the old one's data are the newer ones",
            )
        time.sleep(0.2)
