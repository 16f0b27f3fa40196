"""Who leads, changed: a primary that is given up and stays so, a replica that takes over, a server that starts anew."""

from __future__ import annotations

import os
import shutil
import time
from typing import Any, Dict

from kokki import process
from kokki.paths import write_atomically
from release.steps import Steps
from release.values import Failure

from database import cluster
from database.cluster import RETIRED, Cluster

PATIENCE = 60  # seconds


def retire(steps: Steps) -> Dict[str, Any]:
    """Stop a primary for good; "lsn": up to where its log goes. It has sent all of that to the replicas that listen.

    The note comes first: neither a reboot nor a cook starts it again, wherever this is cut.
    """
    with steps.step("retire") as step:
        here = cluster.here()
        if here.is_replica():
            raise Failure("This server is a replica", why="there is nothing to give up")
        write_atomically(RETIRED, b"Another server keeps these databases now.\n")
        _start_by_itself(here, "disabled")
        here.stop()
        step.changed("PostgreSQL is stopped, and stays so")
        return {"lsn": _end_of_log(here)}


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
        aside = ""
        if os.path.isdir(here.data) and here.is_replica():
            shutil.rmtree(here.data)
            step.changed("the old copy is removed")
        elif os.path.isdir(here.data):
            aside = f"{here.data}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
            os.rename(here.data, aside)
            step.changed(f"its own data: {aside}")
        _start_by_itself(here, "auto")
        if os.path.exists(RETIRED):
            os.unlink(RETIRED)
    return {"aside": aside}


def _wait_for(lsn: int) -> None:
    until = time.monotonic() + PATIENCE
    while int(cluster.psql("SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint")) < lsn:
        if time.monotonic() > until:
            raise Failure(
                "It has not got everything that the old primary wrote",
                hint="it was not connected to it; the old one's data are the newer ones",
            )
        time.sleep(0.2)


def _end_of_log(here: Cluster) -> int:
    """Where the stopped cluster's last checkpoint stands, in bytes of log."""
    command = [here.program("pg_controldata"), "-D", here.data]
    told = cluster.run(command, "pg_controldata can't read the cluster")
    for line in told.splitlines():
        key, _, value = line.partition(":")
        if key == "Latest checkpoint location":
            high, _, low = value.strip().partition("/")
            return (int(high, 16) << 32) + int(low, 16)
    raise Failure("pg_controldata does not say where the log ends")


def _start_by_itself(here: Cluster, how: str) -> None:
    with open(here.start_conf, "w") as file:
        file.write(f"# deploymachine\n{how}\n")
    process.run(["systemctl", "daemon-reload"])
