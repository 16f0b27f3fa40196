"""Who releases a site, and why: a file beside it in, out comes who holds it and whether they are still there.

deploy.lock   JSON of the lock; its time of change is when its owner was last heard of
.lock         locked by the kernel for as long as an action runs here: a build of ten minutes needs no heartbeat
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional

from release import layout
from release.values import Failure, Site

FILE = "deploy.lock"
ALIVE = 60.0  # seconds without a word after which an owner counts as dead
MANUAL = "manual"  # held until somebody lets go of it: nobody's heart beats for it
PATIENCE = 5.0  # seconds; whoever only looks whether the lock is free holds the kernel's for milliseconds
POLL = 0.05


@dataclass(frozen=True)
class Lock:
    """id: of one run. owner: "user@host". pid: there. kind: deploy, rollback or manual. time: UTC, ISO 8601."""

    id: str
    owner: str = ""
    pid: int = 0
    kind: str = MANUAL
    message: str = ""
    time: str = ""


def held(site: Site) -> Optional[Lock]:
    """The lock that lies there, or None."""
    try:
        known = json.loads((site.root / FILE).read_text(encoding="utf-8"))
        return _read(known)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return Lock("damaged", owner="somebody", message=f"the lock can't be read: {error}")


def told(site: Site, *, asking: bool = True) -> Optional[Dict[str, Any]]:
    """The lock as a controller is told: age in seconds since its owner was heard of, and whether that one lives.

    asking: the kernel, too, whether something runs here; not where its lock is held or waited for by the caller.
    """
    lock = held(site)
    with suppress(FileNotFoundError):
        if lock is not None:
            age = max(0.0, time.time() - (site.root / FILE).stat().st_mtime)
            alive = lock.kind == MANUAL or age < ALIVE or (asking and _busy(site))
            return {**asdict(lock), "age": round(age, 1), "alive": alive}
    return None


def take(site: Site, wanted: Mapping[str, Any], instead_of: str = "") -> Optional[Dict[str, Any]]:
    """Take the lock; what is returned is the dead owner's, if there was one. Raises Failure where it is held.

    instead_of: the id of a lock whose owner the caller knows to be gone.
    """
    with acting(site):
        there = told(site, asking=False)
        if there is not None and there["id"] != wanted["id"] and there["id"] != instead_of and there["alive"]:
            raise _refused(site, there)
        lock = _read({**wanted, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})
        layout.write(site.root / FILE, json.dumps(asdict(lock)) + "\n")
    return there


def beat(site: Site, mine: str) -> None:
    """Say that the owner lives. Raises Failure where the lock is somebody else's by now."""
    lock = held(site)
    if lock is None or lock.id != mine:
        taken = f"{lock.owner} holds it: {lock.kind} {lock.message}".rstrip(": ") if lock else "it was removed"
        raise Failure(
            f"The lock of {site.name} is not this run's any more",
            why=taken,
            hint="`fab appnode deploy.status` shows who does what; then deploy again",
        )
    with suppress(FileNotFoundError):
        os.utime(site.root / FILE)


def drop(site: Site, which: str) -> Optional[Dict[str, Any]]:
    """Let go of the lock of that id ("": whosoever it is). What was let go of, or None."""
    there = told(site)
    if there is None or which not in ("", there["id"]):
        return None
    (site.root / FILE).unlink(missing_ok=True)
    return there


@contextmanager
def acting(site: Site) -> Iterator[None]:
    """One change of a site at a time; the kernel lets go of a killed run's lock. Raises Failure where another runs."""
    if not site.root.is_dir():
        raise Failure(f"{site.root} is not there", hint="cook the server first, then release")
    deadline = time.monotonic() + PATIENCE
    with (site.root / ".lock").open("a") as file:
        while not _locked(file.fileno()):
            if time.monotonic() > deadline:
                why = f"{site.name} is being released on this server by another run"
                there = told(site, asking=False)
                result = {"lock": {**there, "alive": True}} if there else {}
                hint = "wait for it to end, then deploy again"
                raise Failure("Two releases at once", why=why, hint=hint, result=result)
            time.sleep(POLL)
        yield


def _busy(site: Site) -> bool:
    """Whether an action runs here right now."""
    path = Path(site.root / ".lock")
    if not path.exists():
        return False
    with path.open("a") as file:
        return not _locked(file.fileno())


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(given: Mapping[str, Any]) -> Lock:
    known = {key: value for key, value in given.items() if key in Lock.__dataclass_fields__}
    return Lock(**known)


def _refused(site: Site, there: Mapping[str, Any]) -> Failure:
    said = f": {there['message']}" if there["message"] else ""
    if there["kind"] == MANUAL:
        what = f"{site.name} is locked"
        why = f"{there['owner']} locked it at {there['time']}{said}"
        hint = "`fab appnode deploy.unlock` takes the lock away"
    else:
        what = "Two releases at once"
        why = f"{there['owner']} has been at a {there['kind']} of {site.name} since {there['time']}{said}"
        why += f"; heard of {there['age']:.0f} s ago"
        hint = "wait for it to end: --lock-wait SECONDS does; `fab appnode deploy.status` shows it"
    return Failure(what, why=why, hint=hint, result={"lock": dict(there)})
