"""Base backups and drills: which there are, and new ones, made by units that go on whatever becomes of us."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Optional

from release.steps import Steps
from release.values import Failure

from database import cluster

STANZA = ["pgbackrest", "--stanza=main"]
DRILL = "/var/lib/postgresql/restore-drill.json"
COOK = "`fab dbserver kokki` sets it up"


def told(steps: Steps) -> Dict[str, Any]:
    """Every backup in every repository, the oldest first, and what the last drill found."""
    with steps.step("backups") as step:
        found = every()
        step.detail = f"{len(found)} backups"
    return {"backups": found, "drill": last_drill()}


def make(full: bool, steps: Steps) -> Dict[str, Any]:
    """One more backup in each repository."""
    with steps.step("backup") as step:
        known = {(one["label"], one["repository"]) for one in every()}
        if cluster.here().is_replica():
            raise Failure("This server is a replica", why="backups are made on the primary")
        _unit(f"deploymachine-backup@{'full' if full else 'now'}.service", "The backup failed")
        new = [one for one in every() if (one["label"], one["repository"]) not in known]
        step.changed(", ".join(f"{one['label']} ({one['type']})" for one in new))
    return {"new": new}


def drill(steps: Steps) -> Dict[str, Any]:
    """Have the backups restored into a throwaway cluster, and looked at. Raises Failure where anything is wrong."""
    with steps.step("restore drill") as step:
        if cluster.here().is_replica():
            raise Failure("This server is a replica", why="its primary has the backups")
        try:
            _unit("deploymachine-restore-drill.service", "The drill failed")
        except Failure as failure:
            found = last_drill()
            if found is None:
                raise
            failure.what = "What was restored is not what it should be"
            failure.output = [*found["wrong"], *found["corrupt"]]
            raise
        step.detail = "restored, counted, checked"
    return {"drill": last_drill()}


def last() -> Optional[Dict[str, Any]]:
    """The newest backup; None where there is none, or nobody makes any."""
    if not os.path.exists("/etc/pgbackrest/pgbackrest.conf"):
        return None
    try:
        found = every()
    except Failure:
        return None
    return max(found, key=lambda one: one["ended"]) if found else None


def last_drill() -> Optional[Dict[str, Any]]:
    try:
        with open(DRILL) as file:
            found: Dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return None
    return found


def every() -> List[Dict[str, Any]]:
    """begun, ended: seconds since 1970. size: bytes of the databases; stored: bytes in the repository."""
    if not os.path.exists("/etc/pgbackrest/pgbackrest.conf"):
        raise Failure("No backups are made on this server", hint=COOK)
    output = cluster.run([*STANZA, "--output=json", "info"], "pgBackRest can't say which backups there are")
    stanza = json.loads(output[output.index("[") :])[0]
    found = [
        {
            "label": one["label"],
            "type": one["type"],
            "repository": one["database"]["repo-key"],
            "begun": one["timestamp"]["start"],
            "ended": one["timestamp"]["stop"],
            "size": one["info"]["size"],
            "stored": one["info"]["repository"].get("delta", 0),
            "ok": not one.get("error"),
        }
        for one in stanza["backup"]
    ]
    return sorted(found, key=lambda one: (one["ended"], one["repository"]))


def _unit(name: str, what: str) -> None:
    """Start a unit and wait for its end; where somebody started it before, for that one's."""
    if not os.path.exists(f"/etc/systemd/system/{name.partition('@')[0].removesuffix('.service')}{_tail(name)}"):
        raise Failure("No backups are made on this server", hint=COOK)
    try:
        cluster.act("start", name)
    except Failure as failure:
        failure.what = what
        raise


def _tail(name: str) -> str:
    return "@.service" if "@" in name else ".service"
