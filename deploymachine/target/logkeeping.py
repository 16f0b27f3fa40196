"""A folder of logs that another lognode had taken in, in; this lognode's logs with those in front of its own, out.

request: "folder", laid out as /var/log/servers is: DAY/SERVER/PROGRAM.log. Repeatable: what is in front already is left
out, and the folder goes in the end. Senders wait for as long as it takes: nothing is taken in meanwhile.
"""

from __future__ import annotations

import os
import shutil
from typing import Any, Callable, Dict, List, Mapping, Tuple

from kokki import process
from release.steps import Steps
from release.values import Failure

KEPT = os.path.join(os.environ.get("DEPLOYMACHINE_ROOT", "/"), "var/log/servers")
BLOCK = 1 << 20
RSYSLOG = "rsyslog.service"


def main(request: Mapping[str, Any], emit: Callable[[Dict[str, Any]], None]) -> int:
    """Returns 0, or 1 after a failure event that tells why."""
    steps = Steps(emit)
    try:
        with steps.step("logs") as step:
            count = joined(request["folder"])
            if count:
                step.changed(f"{count} files")
    except (Failure, OSError) as error:
        steps.failure(error if isinstance(error, Failure) else Failure.of(error, "The logs can't be joined"))
        steps.done("failed", {})
        return 1
    steps.done("ok", {"files": count})
    return 0


def joined(folder: str) -> int:
    """How many files came; rsyslog runs again when this returns, however it ends. Raises Failure, OSError."""
    if not os.path.isdir(folder):
        return 0
    paths = _below(folder)
    _systemctl("stop")
    try:
        for path in paths:
            _put_in_front(os.path.join(folder, path), os.path.join(KEPT, path))
    finally:
        _systemctl("start")
    shutil.rmtree(folder)
    return len(paths)


def _below(folder: str) -> List[str]:
    every = [os.path.join(place, name) for place, _, names in os.walk(folder) for name in names]
    return sorted(os.path.relpath(path, folder) for path in every if path.endswith(".log"))


def _put_in_front(old: str, kept: str) -> None:
    """Whole or not at all, as whoever keeps the logs here would have written it."""
    _make_folders(os.path.dirname(kept))
    if os.path.exists(kept) and _begins_with(kept, old):
        return
    half = f"{kept}.joining"
    with open(half, "wb") as file:
        os.fchmod(file.fileno(), 0o640)
        os.fchown(file.fileno(), *_owner())
        for part in (old, kept):
            if os.path.exists(part):
                with open(part, "rb") as source:
                    shutil.copyfileobj(source, file, BLOCK)
        file.flush()
        os.fsync(file.fileno())
    os.replace(half, kept)


def _begins_with(path: str, other: str) -> bool:
    if os.path.getsize(path) < os.path.getsize(other):
        return False
    with open(path, "rb") as long, open(other, "rb") as short:
        while True:
            part = short.read(BLOCK)
            if not part:
                return True
            if long.read(len(part)) != part:
                return False


def _make_folders(folder: str) -> None:
    if os.path.isdir(folder):
        return
    _make_folders(os.path.dirname(folder))
    os.mkdir(folder, 0o750)
    os.chown(folder, *_owner())


def _owner() -> Tuple[int, int]:
    about = os.stat(KEPT)
    return about.st_uid, about.st_gid


def _systemctl(verb: str) -> None:
    done = process.run(["systemctl", verb, RSYSLOG])
    if done.code:
        raise Failure(f"systemctl {verb} {RSYSLOG} failed", exit_code=done.code, output=done.lines)
