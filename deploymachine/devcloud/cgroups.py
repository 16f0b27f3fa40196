"""A name goes in; a cgroup of its own in every hierarchy comes out, and the end of everything that runs in it.

Needed where systemd is not PID 1: there nspawn keeps the caller's cgroup, and machines sharing one would have their
systemds fight over it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploymachine.devcloud.process import identify

ROOT = Path("/sys/fs/cgroup")
PATIENCE = 30.0  # seconds; a killed process ends when the busy host lets it
WITHOUT = {"cpuset"}  # version 1's refuses processes until CPUs are named, and we limit none


def hierarchies(root: Path = ROOT) -> list[Path]:
    """Mount points: one on a unified host, one per controller (and "unified") on a version 1 or hybrid one."""
    if (root / "cgroup.controllers").exists():
        return [root]
    mounts = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.is_symlink()]
    return [path for path in mounts if (path / "cgroup.procs").exists() and path.name not in WITHOUT]


def create(name: str, memory_mb: int) -> list[Path]:
    """The files to write a process id into so that it, and all it starts, belongs to the machine."""
    made = [path / name for path in hierarchies()]
    for path in made:
        path.mkdir(parents=True, exist_ok=True)
        _limit_memory(path, memory_mb)
    return [path / "cgroup.procs" for path in made]


def memory_bytes(name: str) -> int | None:
    """What the machine uses now, page cache included; None where it can't be told."""
    for path in hierarchies():
        for file in (path / name / "memory.usage_in_bytes", path / name / "memory.current"):
            if file.exists():
                return int(file.read_text())
    return None


@contextmanager
def frozen(name: str) -> Iterator[None]:
    """Whatever runs in it stands still meanwhile; where it can't be made to, it runs on."""
    switches = [path / name / "cgroup.freeze" for path in hierarchies() if (path / name / "cgroup.freeze").exists()]
    for switch in switches:
        switch.write_text("1")
        _await(switch.with_name("cgroup.events"), "frozen 1")
    try:
        yield
    finally:
        for switch in switches:
            switch.write_text("0")


def kill(name: str) -> None:
    """Kill whatever runs in the cgroup and wait, at most 30 s, until it is gone."""
    deadline = time.monotonic() + PATIENCE
    while _populated(name) and time.monotonic() < deadline:
        for path in hierarchies():
            _end(path / name)
        time.sleep(0.02)
    # Linux remembers a kill in every cgroup below, and a systemd started there again loses what it starts in new ones.
    for path in hierarchies():
        if (path / name / "cgroup.kill").exists():
            _remove(path / name)


def remove(name: str) -> None:
    for path in hierarchies():
        _remove(path / name)


def _remove(group: Path) -> None:
    """Only directories can be removed here; what still dies holds its own, and may have made others a moment ago."""
    deadline = time.monotonic() + PATIENCE
    while group.is_dir():
        inner_first = [Path(directory) for directory, _, _ in os.walk(group, topdown=False)]
        held = [error for path in inner_first if (error := _rmdir(path))]
        if held and time.monotonic() > deadline:
            raise held[0]
        if held:
            _end(group)
            time.sleep(0.02)


def _end(group: Path) -> None:
    switch = group / "cgroup.kill"
    if switch.exists():
        switch.write_text("1")


def _limit_memory(path: Path, memory_mb: int) -> None:
    for parent in (path.parent.parent, path.parent):
        control = parent / "cgroup.subtree_control"
        if control.exists() and "memory" in (parent / "cgroup.controllers").read_text().split():
            control.write_text("+memory")
    for limit in (path / "memory.limit_in_bytes", path / "memory.max"):
        if limit.exists():
            limit.write_text(str(memory_mb * 1024 * 1024))


def _populated(name: str) -> bool:
    """Whether anything lives in it; version 1 goes on listing zombies until their parent looks."""
    files = [file for path in hierarchies() for file in (path / name).rglob("cgroup.procs")]
    return any(identify(int(pid)) is not None for file in files for pid in file.read_text().split())


def _await(events: Path, line: str, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while line not in events.read_text().splitlines() and time.monotonic() < deadline:
        time.sleep(0.005)


def _rmdir(path: Path) -> OSError | None:
    try:
        path.rmdir()
    except FileNotFoundError:
        return None
    except OSError as error:
        return error
    return None
