"""Changes of the way in, undone by the server itself unless they are confirmed: snapshot, arm, confirm, rollback.

`snapshot` keeps a copy of everything that decides who may log in. `arm` makes systemd put it back after some seconds,
or after the next boot, whatever becomes of the control side; `confirm` takes that back; `rollback` does it at once.
Every cook asks whether something is pending: what only a change needs, tarfile above all, is imported for one.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List

HOME = os.environ.get("DEPLOYMACHINE_HOME", "/var/lib/deploymachine")
ROOT = os.environ.get("DEPLOYMACHINE_ROOT", "/")
UNIT = "deploymachine-guard"
MARKER = "etc/deploymachine/provisioned.json"
HOST_KEY = "etc/ssh/ssh_host_ed25519_key"
KEPT = [
    "etc/passwd", "etc/shadow", "etc/group", "etc/gshadow", "etc/subuid", "etc/subgid",
    "etc/sudoers", "etc/sudoers.d", "etc/ssh", "etc/nftables.conf", "etc/pam.d", "etc/deploymachine",
]  # fmt: skip
KEYS = ".ssh/authorized_keys"
UNITS = "etc/systemd/system"
AT_BOOT = f"{UNIT}-boot.service"
BOOT_UNIT = """\
# deploymachine: what was not confirmed before the machine went down is undone when it is up again.
[Unit]
Description=Put the way in back that was not confirmed
After=ssh.service nftables.service
[Service]
Type=oneshot
ExecStart={command}
"""

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
    if pending():
        return
    import tarfile

    os.makedirs(HOME, mode=0o700, exist_ok=True)
    half = _snapshot() + ".new"
    with open(half, "wb", opener=_private) as file, tarfile.open(fileobj=file, mode="w") as tar:
        for name in _kept():
            if os.path.lexists(_path(name)):
                tar.add(_path(name), arcname=name)
        _sync(file)
    os.rename(half, _snapshot())


def pending() -> bool:
    """Is there a change that nobody has confirmed yet?"""
    return os.path.exists(_snapshot())


def arm(request: Event) -> None:
    """Put the snapshot back in request["seconds"], or after a boot, unless `confirm` comes before."""
    _disarm()
    command = [sys.executable, "-I", "-S", os.path.abspath(__file__), "rollback"]
    _at_boot(command)
    delay = [f"--on-active={int(request['seconds'])}", "--timer-property=AccuracySec=1s"]
    _run("systemd-run", "--quiet", f"--unit={UNIT}", *delay, *command)


def confirm(request: Event) -> Event:
    """The new way in is proven: keep it, and say so in the marker file. Its answer: was it still there to keep?"""
    with _alone():
        if not pending():
            return {"confirmed": False}
        if "marker" in request:
            _mark(request["marker"])
        _remove(_snapshot())
        _disarm()
    return {"confirmed": True}


def rollback(_request: Event) -> None:
    """Put back everything as it was at `snapshot`, and make sshd and the firewall follow."""
    with _alone():
        if pending():
            _put_back()
            _follow()
            _remove(_snapshot())
        _disarm()


def _put_back() -> None:
    import tarfile

    before, present = set(_homes()), set(_files())
    with tarfile.open(_snapshot()) as tar:
        tar.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)
        tar.extractall(ROOT, numeric_owner=True)  # noqa: S202 (made by `snapshot`, readable by root alone)
        strangers = present - {_path(name) for name in tar.getnames()}
    for path in strangers:
        _remove(path)
    for home in before - set(_homes()):
        _remove(home)


def _kept() -> List[str]:
    """KEPT, and everybody's keys: names below ROOT."""
    homes = [_path("root"), *_homes()]
    return [*KEPT, *(os.path.relpath(os.path.join(home, KEYS), ROOT) for home in homes)]


def _files() -> Iterator[str]:
    """The path of every file that a snapshot would hold now."""
    for path in map(_path, _kept()):
        if os.path.isdir(path) and not os.path.islink(path):
            for folder, _folders, names in os.walk(path):
                yield from (os.path.join(folder, name) for name in names)
        elif os.path.lexists(path):
            yield path


def _mark(marker: Any) -> None:
    path = _path(MARKER)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(marker, file)
        _sync(file)
    os.rename(path + ".new", path)


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
    rules = _path("etc/nftables.conf")
    # Its rules replace our table in one step: a moment without any would let everybody in.
    if not os.path.exists(rules) or "inet deploymachine" not in _text(rules):
        _run("nft", "delete", "table", "inet", "deploymachine", check=False)
    if os.path.exists(rules):
        _run("nft", "-f", rules, check=False)
    _run("systemctl", "daemon-reload", check=False)
    _run("systemctl", "reload-or-restart", "ssh.service", check=False)


def _homes() -> List[str]:
    """The homes of the people, not of the system's own users."""
    with open(_path("etc/passwd"), encoding="utf-8") as file:
        accounts = [line.split(":") for line in file]
    return [_path(fields[5].lstrip("/")) for fields in accounts if 1000 <= int(fields[2]) < 60000]


def _at_boot(command: List[str]) -> None:
    wanted = _path(f"{UNITS}/multi-user.target.wants/{AT_BOOT}")
    os.makedirs(os.path.dirname(wanted), exist_ok=True)
    with open(_path(f"{UNITS}/{AT_BOOT}"), "w", encoding="utf-8") as file:
        file.write(BOOT_UNIT.format(command=" ".join(command)))
    os.symlink(f"../{AT_BOOT}", wanted)


def _disarm() -> None:
    for name in (f"multi-user.target.wants/{AT_BOOT}", AT_BOOT):
        _remove(_path(f"{UNITS}/{name}"))
    for unit in (f"{UNIT}.timer", f"{UNIT}.service"):
        if not unit.endswith("service") or "rollback" not in sys.argv:  # the timer's own run must not stop itself
            _run("systemctl", "stop", unit, check=False)
            _run("systemctl", "reset-failed", unit, check=False)


@contextmanager
def _alone() -> Iterator[None]:
    """A confirmation and the timer's rollback, one after the other."""
    os.makedirs(HOME, mode=0o700, exist_ok=True)
    with open(os.path.join(HOME, "guard.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _snapshot() -> str:
    return os.path.join(HOME, "way-in-before.tar")


def _path(name: str) -> str:
    return os.path.join(ROOT, name)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil

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
