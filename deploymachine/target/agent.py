"""One request in, JSON events on stdout: what the server does is chosen by request["command"]."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from importlib import import_module
from typing import Any, BinaryIO, Callable, Dict, Iterator, Optional

from admins import remember
from records import recorder
from sending import Sender

Event = Dict[str, Any]
Emit = Callable[[Event], None]
MODULES = (
    "release",
    "balance",
    "seal",
    "retire",
    "database",
    "logs",
    "status",
    "credentials",
    "caches",
    "media",
    "logkeeping",
    "splitnote",
)  # what a command is called, its module is


def run(request: Event, stdin: BinaryIO, attachment: int) -> int:
    """Carry out one request; `attachment` more bytes on stdin are put into a file for it. Returns the exit code."""
    # Whatever a recipe or a library prints goes to stderr: stdout holds events and nothing else.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    remember()
    _forget_who_came_in()
    os.dup2(2, 1)
    emit = Sender(events, recorder(request))
    with _scratch_directory(attachment) as directory:
        if attachment:
            request["attachment"] = _spool(stdin, attachment, directory)
        answers = os.dup(0) if request.get("prove") or request.get("talk") else None
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # nothing that runs here may read what is left of stdin
        try:
            return _dispatch(request, emit, answers)
        finally:
            emit.close()


@contextmanager
def _scratch_directory(attachment: int) -> Iterator[str]:
    """Where an attachment goes; without one nothing is made, nor is tempfile imported, which takes 10 ms."""
    if not attachment:
        yield ""
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="deploymachine-") as directory:
        yield directory


def _forget_who_came_in() -> None:
    """Their umask, since what packages and recipes make is for others to read, too; their own temporary directory."""
    os.umask(0o022)
    for name in ("TMPDIR", "TMP", "TEMP", "TEMPDIR"):
        os.environ.pop(name, None)


def _dispatch(request: Event, emit: Emit, answers: Optional[int]) -> int:
    command = request["command"]
    started = time.monotonic()
    try:
        if command == "cook":
            from kokki.runner import cook

            return cook(request, emit, _way_in(emit, answers))
        if command == "switchover" and answers is not None:
            from database.switchover import main

            return main(request, emit, answers)
        return int(import_module(command if command in MODULES else "guard").main(request, emit))
    except (
        Exception
    ) as error:  # the last resort: a fault of ours is told as one event, not as a traceback on a terminal
        import traceback

        last = traceback.extract_tb(error.__traceback__)[-1]
        emit(
            {
                "event": "failure",
                "what": f"deploymachine itself failed while it did {command!r}",
                "where": f"{os.path.basename(last.filename)}:{last.lineno}",
                "why": f"{type(error).__name__}: {error}",
                "hint": "run it again; if it stays, this is a bug of deploymachine: report it with this text",
            }
        )
        emit({"event": "run-done", "state": "failed", "totals": {}, "ms": _ms(started), "result": {}})
        return 1


def _way_in(emit: Emit, answers: Optional[int]) -> Any:
    """Who sees to it that a run locks nobody out; None where the control side does so itself, or nobody can answer."""
    if answers is None:
        return None
    from wayin import WayIn

    return WayIn(emit, answers)


def _ms(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)


def _spool(stdin: BinaryIO, size: int, directory: str) -> str:
    path = os.path.join(directory, "attachment")
    with open(path, "wb") as file:
        while size:
            chunk = stdin.read(min(size, 1 << 20))
            if not chunk:
                sys.exit("the connection ended before everything was sent")
            file.write(chunk)
            size -= len(chunk)
    return path
