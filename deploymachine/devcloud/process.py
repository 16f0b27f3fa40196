"""A process id goes in; who that really is comes out: ids are reused, an id with its start time is not."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """pid, and the start time in clock ticks since the machine booted."""

    pid: int
    started: int


def identify(pid: int) -> Process | None:
    """The living process of that id; a zombie is dead."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else Process(pid, int(fields[19]))


def alive(process: Process | None) -> bool:
    return process is not None and identify(process.pid) == process


def find(*words: str) -> Process | None:
    """A living process whose command line ends with these words."""
    wanted = "\0".join(("", *words, ""))
    for entry in PROC.glob("[0-9]*/cmdline"):
        try:
            matches = entry.read_text(errors="replace").endswith(wanted)
        except OSError:  # ended meanwhile
            continue
        if matches:
            return identify(int(entry.parent.name))
    return None


def children(pid: int) -> list[int]:
    try:
        tasks = list((PROC / str(pid) / "task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def send(process: Process | None, number: int) -> None:
    """Signal it if it is still the one we mean."""
    if process is not None and alive(process):
        os.kill(process.pid, number)


def ended(process: Process | None, seconds: float) -> bool:
    """Whether it is gone, waiting at most that long."""
    deadline = time.monotonic() + seconds
    while alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def end(process: Process | None, seconds: float = 5) -> None:
    """Ask it to end, then make it."""
    send(process, signal.SIGTERM)
    if not ended(process, seconds):
        send(process, signal.SIGKILL)
        ended(process, seconds)
