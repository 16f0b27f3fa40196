"""One run at a time: the lock file names its holder, and is free again the moment that process is gone."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator

from kokki.exceptions import Fail

INTERVAL = 0.1  # seconds between two looks


class Held(Fail):
    """Another run holds the lock."""


@contextmanager
def only_one(path: str, wait: float, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock at path. Wait for it at most `wait` seconds, having called waiting(who holds it). Raises Held."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        _acquire(descriptor, wait, waiting)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(_ourselves()).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, wait: float, waiting: Callable[[str], None]) -> None:
    until = time.monotonic() + wait
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
        else:
            return
        if time.monotonic() >= until:
            raise Held(f"another run is under way: {holder}", hint="wait for it to end, then try again")
        if not told:
            waiting(holder)
            told = True
        time.sleep(INTERVAL)


def _ourselves() -> Dict[str, Any]:
    names = (os.environ.get(name) for name in ("SUDO_USER", "LOGNAME", "USER"))
    owner = next(filter(None, names), str(os.geteuid()))
    start = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return {"owner": owner, "pid": os.getpid(), "start": start, "command": " ".join(sys.argv) or "kokki"}


def _holder(descriptor: int) -> str:
    try:
        held = json.loads(os.pread(descriptor, 4096, 0))
        return f"{held['command']} of {held['owner']}, process {held['pid']}, since {held['start']}"
    except (ValueError, KeyError, TypeError):
        return "one that has just begun"
