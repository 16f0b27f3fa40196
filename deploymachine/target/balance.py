"""A site's appnodes that shall get no visitors in; out comes an nginx that sends them to the others, and to all after.

request: "site", "down" (addresses, "10.87.0.11:8000"; []: none), "seconds" after which nginx sends visitors to all by
itself, should nobody come back to say so. Only the words `down` in the site's upstream are changed: a cook, which knows
of none, brings everybody back in, and finds nothing to change when all is over.
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, List, Sequence, Set, Tuple

from release.steps import Steps
from release.values import Failure

SITES = Path("/etc/nginx/sites-available")
PROC = Path("/proc")
NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
SERVER = re.compile(r"^(?P<before>\s*server (?P<address>[0-9a-f.:\[\]]+)(?: [^;]*?)?)(?P<down> down)?;$", re.MULTILINE)
PLAIN_WORKER = "nginx: worker process"  # one that is leaving says so in its title
LET_GO = 30.0  # seconds that requests which were begun may take; nobody loses one if they take longer
ANSWERS = 1.0  # seconds that somebody else has to take a connection
PAUSE = 0.02
OPEN = ("01", "02")  # ESTABLISHED and SYN_SENT, as the kernel numbers them
Event = Dict[str, Any]


def main(request: Event, emit: Callable[[Event], None]) -> int:
    """Do it. Returns the exit code; result: "changed", and a "note" where visitors are still sent everywhere."""
    steps = Steps(emit)
    emit(
        {"event": "run-begun", "version": 1, "host": request.get("host", ""), "roles": [], "count": 1, "dry_run": False}
    )
    try:
        with steps.step("balance") as step:
            note = _balance(request)
            step.changed(", ".join(request["down"]) or "all back in")
            result = {"changed": True, "note": note}
    except Failure as failure:
        steps.failure(failure)
        steps.done("failed", failure.result)
        return 1
    steps.done("ok", result)
    return 0


def _balance(request: Event) -> str:
    name, down = str(request["site"]), list(request["down"])
    if not NAME.fullmatch(name):
        raise Failure(f"{name!r} is not the name of a site")
    path = SITES / f"site-{name}.conf"
    try:
        before = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return f"{name} is not served here yet"
    after, others = marked(before, down)
    if down and not any(_answers(address) for address in others):
        return f"nobody else answers for {name}: visitors were sent to {', '.join(down)} all the same"
    if after == before:
        return ""
    unit = f"deploymachine-back-{name}"
    _quietly("systemctl", "stop", f"{unit}.timer")
    if down:
        _undo_later(unit, path, float(request.get("seconds") or 300))
    _write(path, after)
    old = workers()
    _run("systemctl", "reload", "nginx")
    return _until_let_go(old, down)


def marked(text: str, down: Sequence[str]) -> Tuple[str, List[str]]:
    """The configuration with those addresses marked as down, and no others; and the addresses that are not."""
    others: List[str] = []

    def one(match: re.Match[str]) -> str:
        is_down = match["address"] in down
        if not is_down:
            others.append(match["address"])
        return f"{match['before']}{' down' if is_down else ''};"

    return SERVER.sub(one, text), others


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), ANSWERS):
            return True
    except OSError:
        return False


def _undo_later(unit: str, path: Path, seconds: float) -> None:
    """Whatever becomes of whoever asked: nobody stays out for long."""
    script = f"sed -i -E 's/^( *server .*) down;$/\\1;/' {path} && systemctl reload nginx"
    delay = [f"--on-active={seconds:.0f}", "--timer-property=AccuracySec=1s"]
    _run("systemd-run", "--quiet", "--collect", f"--unit={unit}", *delay, "sh", "-c", script)


def _write(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.chmod(path.stat().st_mode & 0o777)
    new.replace(path)


def _until_let_go(old: FrozenSet[str], down: Sequence[str]) -> str:
    """Wait until no worker of before takes requests, and no request is under way to those that are down."""
    gone = {_kernels(address) for address in down}
    deadline = time.monotonic() + LET_GO
    while True:
        now = workers()
        if now - old and not old & now and not (gone and gone & _connections()):
            return ""
        if time.monotonic() > deadline:
            return f"requests that had begun did not end within {LET_GO:.0f} s"
        time.sleep(PAUSE)


def workers() -> FrozenSet[str]:
    """The process ids of nginx's workers that take requests."""
    found: Set[str] = set()
    for path in PROC.glob("[0-9]*/cmdline"):
        try:
            title = path.read_bytes().rstrip(b"\0 ").decode("utf-8", "replace")
        except OSError:
            continue
        if title == PLAIN_WORKER:
            found.add(path.parent.name)
    return frozenset(found)


def _connections() -> Set[str]:
    """Where open connections lead, as the kernel writes it."""
    found: Set[str] = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        rows = (line.split() for line in lines)
        found.update(row[2] for row in rows if row[3] in OPEN)
    return found


def _kernels(address: str) -> str:
    """The kernel's "0B00570A:1F40" of "10.87.0.11:8000"; words of 32 bits, each as the machine orders them."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    words = (packed[start : start + 4][::-1] for start in range(0, len(packed), 4))
    return f"{b''.join(words).hex().upper()}:{int(port):04X}"


def _run(*argv: str) -> None:
    done = _quietly(*argv)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()][-5:]
        why = lines[-1] if lines else f"exit code {done.returncode}"
        raise Failure(f"{argv[0]} {argv[1]} fails", why=why, command=" ".join(argv), output=lines)


def _quietly(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
