"""A server in, what auditors say of it out: lynis as it is in the server's own release, and ssh-audit."""

from __future__ import annotations

import json
import os
import resource
import selectors
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fleet import Fleet

SSH_AUDIT = "ssh-audit==3.9.0"  # its lists change with its versions
LEAST = 84  # of lynis; 59 as a machine comes
# PostgreSQL's files as Debian lays them there: its psql finds a cluster's port in them, whoever asks. Ours are 0640.
ACCEPTED = ("DBS-1828|",)
BATCH = 4000  # ports tried at once
ANSWER_WITHIN = 0.5  # seconds
LYNIS = """
rm -rf /tmp/audit; mkdir -m 700 /tmp/audit; cd /tmp/audit; apt-get -qq download lynis 2>/dev/null
dpkg -x lynis_*.deb x; cp -r x/usr/share/lynis/* x/etc/lynis/* x/usr/sbin/lynis .; chown -R root: .
sh ./lynis audit system --quick --quiet --no-colors --report-file /tmp/audit/report --logfile /tmp/audit/log \
    --profile /tmp/audit/default.prf --plugindir /tmp/audit/plugins >/dev/null 2>&1
grep -E '^(hardening_index|warning)' report; rm -rf /tmp/audit
"""


def lynis(fleet: Fleet, name: str) -> tuple[int, list[str]]:
    """Its hardening index and its warnings, but for ACCEPTED ones. It lies beside everything else, and goes again."""
    told = [line.split("=", 1) for line in fleet.sudo(name, LYNIS).splitlines()]
    warnings = [value for key, value in told if key.startswith("warning")]
    return int(dict(told)["hardening_index"]), [one for one in warnings if not one.startswith(ACCEPTED)]


def install_ssh_audit(place: Path) -> Path:
    """The same directory, with ssh-audit in it."""
    return install(place, SSH_AUDIT)


def install(place: Path, *packages: str) -> Path:
    """The same directory, with the packages in it; where they are not to be had the test is left out."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(place)]
    done = subprocess.run([*pip, *packages], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{', '.join(packages)}: not installable here: {done.stderr.strip().splitlines()[-1]}")
    return place


def ssh_audit(place: Path, address: str, *words: str) -> subprocess.CompletedProcess[str]:
    """place: where it is installed."""
    argv = [sys.executable, "-m", "ssh_audit.ssh_audit", "--skip-rate-test", "-p", "2222", *words, address]
    environment = {**os.environ, "PYTHONPATH": str(place)}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=100, check=False)


def ssh_findings(place: Path, address: str) -> list[str]:
    """The algorithms that ssh-audit warns of."""
    found: dict[str, Any] = json.loads(ssh_audit(place, address, "-j").stdout)
    offered = [one for kind in ("kex", "key", "enc", "mac") for one in found[kind]]
    notes = {one["algorithm"]: one.get("notes", {}) for one in offered}
    assert len(notes) > 10
    return [name for name, note in notes.items() if note.get("fail") or note.get("warn")]


def answers(address: str) -> dict[int, str]:
    """Port -> "open" or "closed"; where nothing is said, the port is not in it."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found: dict[int, str] = {}
    for first in range(1, 65536, BATCH):
        with selectors.DefaultSelector() as waiting, ExitStack() as opened:
            for port in range(first, min(first + BATCH, 65536)):
                attempt = opened.enter_context(socket.socket())
                attempt.setblocking(False)
                attempt.connect_ex((address, port))
                waiting.register(attempt, selectors.EVENT_WRITE, port)
            while ready := waiting.select(ANSWER_WITHIN):
                for key, _ in ready:
                    error = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # type: ignore[union-attr]
                    found[key.data] = "closed" if error else "open"
                    waiting.unregister(key.fileobj)
    return found
