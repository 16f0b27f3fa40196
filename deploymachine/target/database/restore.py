"""A moment in, the databases as they were then out; what they were until now is kept beside them.

Killed anywhere, a rerun ends well: the copy is made beside the data while they are in use, and takes their place by two
renames; a run that finds only the first of them done undoes it.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import time
from typing import Any, Dict

from kokki import process
from release.steps import Steps
from release.values import Failure

from database import backups, cluster
from database.cluster import Cluster

UNIT = "deploymachine-restore"
WITHIN = 86_400  # seconds; it replays everything since the base backup
SETTLED = ("restore_command", "recovery_target_time", "recovery_target_action", "recovery_target_timeline")
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00")


def restore(to_time: str, steps: Steps) -> Dict[str, Any]:
    """to_time: "2026-01-31 12:00:00+00"; "" for the newest there is. Raises Failure; then all is as it was."""
    here = cluster.here()
    with steps.step("look") as step:
        _put_back_half(here)
        step.detail = _fitting(here, to_time)
    began = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = f"{here.data}.before-{began}"
    with steps.step("copy") as step:
        _copy(here, to_time)
        step.changed("the base backup lies beside the data")
    with steps.step("switch") as step:
        here.stop()
        os.rename(here.data, aside)
        os.rename(_copying(here), here.data)
        step.changed(f"the data until now: {aside}")
    with steps.step("replay") as step:
        try:
            _start(here)
        except Failure:
            _back(here, aside)
            raise
        step.changed("everything that was written since the base backup")
    return {"aside": aside, "size": _size(aside)}


def _fitting(here: Cluster, to_time: str) -> str:
    """The sentence on what will be restored. Raises Failure where it can't be."""
    if here.is_replica():
        raise Failure("This server is a replica", why="what is restored on the primary comes to it by itself")
    if os.path.exists(cluster.RETIRED):
        raise Failure("This server's databases are retired", why="another server is the primary")
    if to_time and not TIME.fullmatch(to_time):
        raise Failure(f"{to_time!r} is no time", hint="as in 2026-01-31 12:00:00+00")
    whole = [one for one in backups.every() if one["ok"]]
    if not whole:
        raise Failure("There is no backup to restore", hint="`fab dbserver postgresql.backup` makes one")
    first = min(one["ended"] for one in whole)
    if to_time and _seconds(to_time) < first:
        oldest = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(first))
        raise Failure(f"No backup is older than {to_time}", why=f"the oldest was complete at {oldest} (UTC)")
    return f"as of {to_time}" if to_time else "the newest there is"


def _copy(here: Cluster, to_time: str) -> None:
    """In a unit of its own name: one that an earlier run left behind is stopped first."""
    process.run(["systemctl", "stop", UNIT])
    process.run(["systemctl", "reset-failed", UNIT])
    shutil.rmtree(_copying(here), ignore_errors=True)
    os.mkdir(_copying(here), 0o700)
    shutil.chown(_copying(here), "postgres", "postgres")
    if here.running():  # so that the newest is in the archive, too
        cluster.psql("SELECT pg_switch_wal()")
    command = 'pgbackrest --stanza=main --log-level-console=warn archive-get %f "%p"'
    words = [f"--pg1-path={_copying(here)}", f"--recovery-option=restore_command={command}"]
    words += ["--type=time", f"--target={to_time}", "--target-action=promote"] if to_time else ["--type=default"]
    unit = ["systemd-run", "--quiet", "--collect", "--wait", f"--unit={UNIT}", "--uid=postgres", "--gid=postgres"]
    done = process.run([*unit, *backups.STANZA, "--log-level-console=warn", *words, "restore"])
    if done.code:
        said = cluster.journal(UNIT, done.lines)
        shutil.rmtree(_copying(here), ignore_errors=True)
        raise Failure("The base backup can't be restored; nothing was changed", output=said)


def _start(here: Cluster) -> None:
    """Until it takes writes. Raises Failure where it ends before."""
    here.start()
    until = time.monotonic() + WITHIN
    while time.monotonic() < until:
        if not here.running() or not os.path.exists(f"{here.data}/postmaster.pid"):
            raise Failure("PostgreSQL did not come up with what was restored", output=_log(here))
        asked = process.run(["psql", "-XqAt", "-d", "postgres"], user="postgres", cwd="/", stdin=_READY)
        if asked.code == 0 and asked.output.strip() == "f":
            break
        time.sleep(0.3)
    for name in SETTLED:  # it is done: a replica that is made of this server must not do it again
        cluster.psql(f"ALTER SYSTEM RESET {name}")


_READY = "SELECT pg_is_in_recovery()"


def _back(here: Cluster, aside: str) -> None:
    """What was restored is of no use: the data until now take its place."""
    process.run(["systemctl", "stop", here.unit])
    shutil.rmtree(here.data)
    os.rename(aside, here.data)
    here.start()


def _put_back_half(here: Cluster) -> None:
    """A run that was killed between its two renames has left no data at all in their place."""
    if not os.path.isdir(here.data):
        newest = max(glob.glob(f"{here.data}.before-*"), default=None)
        if newest is None:
            raise Failure(f"There are no data in {here.data}")
        os.rename(newest, here.data)
        here.start()
    elif os.path.exists(f"{here.data}/recovery.signal") and not here.running():
        here.start()  # one that was killed before the start: go on from there


def _copying(here: Cluster) -> str:
    return f"{here.data}.restoring"


def _size(path: str) -> int:
    return sum(os.lstat(os.path.join(place, name)).st_size for place, _, names in os.walk(path) for name in names)


def _seconds(to_time: str) -> float:
    import calendar

    return calendar.timegm(time.strptime(to_time[:19], "%Y-%m-%d %H:%M:%S"))


def _log(here: Cluster) -> Any:
    path = f"/var/log/postgresql/postgresql-{here.version}-main.log"
    return process.run(["tail", "-n", "20", path]).lines
