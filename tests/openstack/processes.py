"""A name and a command line go in; a service that runs on its own comes out, and is ended by nothing but its identity.

Every service leads a session; its processes are those of that session, for as long as the leader's id is not reused.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from place import ADDRESS, Place

from deploymachine.devcloud.process import PROC, Process, end, identify, send
from deploymachine.devcloud.run import SYSTEM_PATH
from deploymachine.errors import DeployMachineError

LISTEN_WITHIN = 180  # seconds; a starved machine is slow, a dead service is noticed at once
END_WITHIN = 20


def environment(place: Place, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Of the caller's environment only what names directories and mirrors: no OS_*, no proxy."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("DEPLOYMACHINE_")}
    own = {"HOME": str(place.run / "home"), "TMPDIR": str(place.run / "tmp"), "LC_ALL": "C.UTF-8", "PATH": SYSTEM_PATH}
    return {**kept, **own, **(extra or {})}


def start(place: Place, name: str, argv: Sequence[str], extra: Mapping[str, str] | None = None) -> None:
    """Start it unless it runs. Its words go to log/NAME.log."""
    if alive(place, name):
        return
    with (place.log / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(
            argv,
            cwd="/",
            env=environment(place, extra),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process = identify(child.pid)
    if process is not None:
        _file(place, name).write_text(json.dumps([process.pid, process.started]))
    child.returncode = 0  # it is meant to outlive us; without this Python warns that it still runs


def finish(place: Place, name: str, *argvs: Sequence[str], extra: Mapping[str, str] | None = None) -> None:
    """Run commands one after the other to their end. Raises DeployMachineError with the last lines of the log."""
    for argv in argvs:
        with (place.log / f"{name}.log").open("ab") as log:
            done = subprocess.run(
                argv,
                cwd="/",
                env=environment(place, extra),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
            )
        if done.returncode:
            raise failed(place, name, f"exit code {done.returncode} of ... {' '.join(argv[-6:])}")


def alive(place: Place, name: str) -> bool:
    leader = _leader(place, name)
    return leader is not None and identify(leader.pid) == leader


def running(place: Place) -> list[str]:
    """The services of which any process is left."""
    names = [file.stem for file in (place.run / "pids").glob("*.json")]
    return [name for name in names if _members(_leader(place, name))]


def stop(place: Place, names: Iterable[str]) -> None:
    """Ask all of them to end, wait, then make those end that did not. What runs not is forgotten."""
    leaders = {name: _leader(place, name) for name in names}
    for leader in leaders.values():
        _signal(leader, signal.SIGTERM)
    deadline = time.monotonic() + END_WITHIN
    while any(map(_members, leaders.values())) and time.monotonic() < deadline:
        time.sleep(0.05)
    for name, leader in leaders.items():
        _signal(leader, signal.SIGKILL)
        _file(place, name).unlink(missing_ok=True)


def stop_inside(tree: Path) -> None:
    """End whatever else runs with this directory as its root."""
    for entry in PROC.glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "root").readlink().is_relative_to(tree):
                end(identify(int(entry.name)))


def wait_listening(place: Place, names: Iterable[str]) -> None:
    """Until each answers on its port. Raises DeployMachineError when one died or takes too long."""
    deadline = time.monotonic() + LISTEN_WITHIN
    for name in names:
        while not _accepts((ADDRESS, place.port(name))):
            check_alive(place, [name])
            if time.monotonic() > deadline:
                raise failed(place, name, f"it does not listen on port {place.port(name)} after {LISTEN_WITHIN} s")
            time.sleep(0.1)


def wait_socket(place: Place, name: str, path: Path) -> None:
    """The same for a socket that is a file."""
    deadline = time.monotonic() + LISTEN_WITHIN
    while not _accepts(str(path)):
        check_alive(place, [name])
        if time.monotonic() > deadline:
            raise failed(place, name, f"it does not listen at {path} after {LISTEN_WITHIN} s")
        time.sleep(0.1)


def check_alive(place: Place, names: Iterable[str]) -> None:
    for name in names:
        if not alive(place, name):
            raise failed(place, name, "it ended")


def failed(place: Place, name: str, why: str) -> DeployMachineError:
    log = place.log / f"{name}.log"
    lines = log.read_text(errors="replace").splitlines()[-12:] if log.exists() else []
    return DeployMachineError(f"{name} does not come up", where=str(log), why=why, evidence=lines)


def check_free(place: Place, names: Iterable[str]) -> None:
    """Raises DeployMachineError where somebody else listens on one of our ports."""
    for name in names:
        if _accepts((ADDRESS, place.port(name))):
            hint = f"name the first of a range that is free: DEPLOYMACHINE_OPENSTACK_PORT={place.first_port + 1000}"
            raise DeployMachineError(f"port {place.port(name)}, meant for {name}, is taken", hint=hint)


def _accepts(address: tuple[str, int] | str) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(2)
        return probe.connect_ex(address) == 0


def _file(place: Place, name: str) -> Path:
    return place.run / "pids" / f"{name}.json"


def _leader(place: Place, name: str) -> Process | None:
    try:
        return Process(*json.loads(_file(place, name).read_text()))
    except (FileNotFoundError, ValueError):
        return None


def _members(leader: Process | None) -> list[Process]:
    """The living processes of the session that this one leads, or led."""
    if leader is None or identify(leader.pid) not in (leader, None):  # the id belongs to a stranger now
        return []
    found = (identify(int(entry.name)) for entry in PROC.glob("[0-9]*") if _session(entry) == leader.pid)
    return [process for process in found if process is not None and process.started >= leader.started]


def _session(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[3])
    except (OSError, IndexError):
        return None


def _signal(leader: Process | None, number: int) -> None:
    for process in _members(leader):
        with suppress(ProcessLookupError):
            send(process, number)
