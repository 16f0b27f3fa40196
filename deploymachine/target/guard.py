"""Changes of the way in, undone by the server itself unless they are confirmed: snapshot, arm, confirm, rollback.

`snapshot` keeps a copy of everything that decides who may log in. `arm` makes systemd put it back after some seconds,
whatever becomes of the control side; `confirm` takes that back; `rollback` does it at once.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from typing import Any, Callable, Dict, List

HOME = os.environ.get("DEPLOYMACHINE_HOME", "/var/lib/deploymachine")
ROOT = os.environ.get("DEPLOYMACHINE_ROOT", "/")
UNIT = "deploymachine-guard"
MARKER = "etc/deploymachine/provisioned.json"
HOST_KEY = "etc/ssh/ssh_host_ed25519_key"
KEPT = [
    "etc/passwd", "etc/shadow", "etc/group", "etc/gshadow", "etc/subuid", "etc/subgid",
    "etc/sudoers", "etc/sudoers.d", "etc/ssh", "etc/nftables.conf", "etc/deploymachine",
]  # fmt: skip

Event = Dict[str, Any]
Emit = Callable[[Event], None]


def main(request: Event, emit: Emit) -> int:
    """Do request["action"] and tell its result in the run-done event. Returns the exit code."""
    started = time.monotonic()
    result = ACTIONS[request["action"]](request)
    ms = round((time.monotonic() - started) * 1000, 1)
    emit({"event": "run-done", "state": "ok", "totals": {}, "ms": ms, "result": result or {}})
    return 0


def state(_request: Event) -> Event:
    """Is this server provisioned, and who is asking?"""
    try:
        with open(_path(MARKER), encoding="utf-8") as file:
            provisioned = json.load(file)
    except (OSError, ValueError):
        provisioned = None
    return {"provisioned": provisioned, "user": os.environ.get("SUDO_USER", "root"), "uid": os.getuid()}


def snapshot(_request: Event) -> None:
    """Copy what decides who may log in; a snapshot of an unfinished run before is the older truth and stays."""
    if os.path.exists(_snapshot()):
        return
    os.makedirs(HOME, mode=0o700, exist_ok=True)
    half = _snapshot() + ".new"
    with open(half, "wb", opener=_private) as file, tarfile.open(fileobj=file, mode="w") as tar:
        for name in KEPT:
            if os.path.lexists(_path(name)):
                tar.add(_path(name), arcname=name)
        _sync(file)
    os.rename(half, _snapshot())


def arm(request: Event) -> None:
    """Put the snapshot back in request["seconds"] unless `confirm` comes before."""
    _disarm()
    agent = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guard.py")
    delay = [f"--on-active={int(request['seconds'])}", "--timer-property=AccuracySec=1s"]
    _run("systemd-run", "--quiet", f"--unit={UNIT}", *delay, sys.executable, agent, "rollback")


def confirm(request: Event) -> None:
    """The new way in is proven: keep it, and say so in the marker file."""
    _disarm()
    marker = _path(MARKER)
    os.makedirs(os.path.dirname(marker), exist_ok=True)
    with open(marker + ".new", "w", encoding="utf-8") as file:
        json.dump(request["marker"], file)
        _sync(file)
    os.rename(marker + ".new", marker)
    _remove(_snapshot())


def rollback(_request: Event) -> None:
    """Put back everything as it was at `snapshot`, and make sshd and the firewall follow."""
    _disarm()
    if not os.path.exists(_snapshot()):
        return
    before = set(_homes())
    for name in KEPT:
        if name in {"etc/sudoers.d", "etc/ssh", "etc/deploymachine"}:
            _empty(_path(name))
        elif not name.startswith(("etc/passwd", "etc/shadow", "etc/group", "etc/gshadow", "etc/sudoers")):
            _remove(_path(name))
    with tarfile.open(_snapshot()) as tar:
        tar.extractall(ROOT)  # noqa: S202 (made by `snapshot`, readable by root alone)
    for home in before - set(_homes()):
        _remove(home)
    _follow()
    _remove(_snapshot())


def new_host_key(_request: Event) -> Event:
    """Replace the host key that came with user-data by one made here; answer its public line."""
    key = _path(HOST_KEY)
    _remove(key + ".new")
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key + ".new")
    os.rename(key + ".new.pub", key + ".pub")
    os.rename(key + ".new", key)
    _run("systemctl", "reload", "ssh.service")
    with open(key + ".pub", encoding="utf-8") as file:
        return {"host_key": file.read().strip()}


def _follow() -> None:
    _run("nft", "delete", "table", "inet", "deploymachine", check=False)
    if os.path.exists(_path("etc/nftables.conf")):
        _run("nft", "-f", _path("etc/nftables.conf"), check=False)
    _run("systemctl", "daemon-reload", check=False)
    _run("systemctl", "reload-or-restart", "ssh.service", check=False)


def _homes() -> List[str]:
    """The homes of the people, not of the system's own users."""
    with open(_path("etc/passwd"), encoding="utf-8") as file:
        accounts = [line.split(":") for line in file]
    return [_path(fields[5].lstrip("/")) for fields in accounts if 1000 <= int(fields[2]) < 60000]


def _disarm() -> None:
    for unit in (f"{UNIT}.timer", f"{UNIT}.service"):
        if not unit.endswith("service") or "rollback" not in sys.argv:  # the timer's own run must not stop itself
            _run("systemctl", "stop", unit, check=False)
            _run("systemctl", "reset-failed", unit, check=False)


def _snapshot() -> str:
    return os.path.join(HOME, "way-in-before.tar")


def _path(name: str) -> str:
    return os.path.join(ROOT, name)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _empty(path: str) -> None:
    for name in os.listdir(path) if os.path.isdir(path) else []:
        _remove(os.path.join(path, name))


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def _run(*command: str, check: bool = True) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise OSError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()[-500:]}")


ACTIONS: Dict[str, Callable[[Event], Any]] = {
    action.__name__: action for action in (state, snapshot, arm, confirm, rollback, new_host_key)
}
NAMES: List[str] = sorted(ACTIONS)

if __name__ == "__main__":
    rollback({})
