"""A note of how far a change of servers has come in, the same note out later: kept on each server that it is about."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Callable, Dict, Optional

HOME = os.environ.get("DEPLOYMACHINE_HOME", "/var/lib/deploymachine")
NAME = "split.json"
Event = Dict[str, Any]
Emit = Callable[[Event], None]


def main(request: Event, emit: Emit) -> int:
    """Do request["action"]: keep request["note"], tell it, or forget it. Returns the exit code."""
    action = request["action"]
    if action == "keep":
        keep(request["note"])
    elif action == "forget":
        forget()
    note = tell()
    emit({"event": "run-done", "state": "ok", "totals": {}, "ms": 0.0, "result": {"note": note}})
    return 0


def keep(note: str) -> None:
    """Write it whole or not at all; it is on the disk when this returns."""
    os.makedirs(HOME, mode=0o700, exist_ok=True)
    half = _path() + ".new"
    with os.fdopen(os.open(half, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())
    os.replace(half, _path())
    directory = os.open(HOME, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def tell() -> Optional[str]:
    try:
        with open(_path(), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def forget() -> None:
    with suppress(FileNotFoundError):
        os.unlink(_path())


def _path() -> str:
    return os.path.join(HOME, NAME)
