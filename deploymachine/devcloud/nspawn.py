"""A machine's prepared root goes in; systemd-nspawn running it, a process of a session of its own, comes out."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from deploymachine.devcloud import cgroups
from deploymachine.devcloud.process import Process, alive, children, identify
from deploymachine.devcloud.run import system_environment
from deploymachine.errors import DevcloudError

NSPAWN = "systemd-nspawn"
POWER_OFF = signal.SIGRTMIN + 4  # what systemd, as the machine's process 1, takes for `systemctl poweroff`
STATE = Path("/run/systemd/nspawn")
LOOP = 'while "$@"; [ $? = 133 ]; do :; done'  # nspawn ends with 133 when the machine reboots
SYSTEMD_HOST = Path("/run/systemd/system")
LAUNCHER = Path(__file__).with_name("launch.py")
ENVIRONMENT = {
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",  # today's systemd knows no other, whatever the host mounts
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",  # /proc/sys/net is the machine's own: it has its own namespace
}


def start(disk: Path, name: str, server_id: str, memory_mb: int, cgroup: str) -> Process:
    """disk: holds root, binds and console.log. cgroup: its name, for hosts without systemd."""
    argv = command(name, disk / "root", server_id)
    launcher = ["sh", "-c", LOOP, "sh", sys.executable, "-I", "-S", str(LAUNCHER), str(disk / "binds")]
    if SYSTEMD_HOST.exists():  # systemd makes a scope, and limits it
        argv[1:1] = [f"--property=MemoryMax={memory_mb}M", "--property=DeviceAllow=block-loop rwm"]
    else:
        argv.insert(1, "--keep-unit")
        launcher += map(str, cgroups.create(cgroup, memory_mb))
    with (disk / "console.log").open("ab") as console:
        child = subprocess.Popen(
            [*launcher, "--", *argv],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=system_environment(ENVIRONMENT),
        )
    threading.Thread(target=child.wait, daemon=True).start()  # so that a dead machine leaves no zombie
    process = identify(child.pid)
    if process is None:
        evidence = (disk / "console.log").read_text(errors="replace").splitlines()[-12:]
        raise DevcloudError("systemd-nspawn ended at once", evidence=evidence)
    return process


def command(name: str, root: Path, server_id: str) -> list[str]:
    """The command line. No registration with machined, nothing borrowed from the host's files."""
    return [
        NSPAWN,
        "--quiet",
        "--settings=no",
        "--register=no",
        f"--directory={root}",
        f"--machine={name}",
        f"--uuid={server_id}",
        "--boot",
        f"--network-namespace-path=/run/netns/{name}",
        "--capability=CAP_NET_ADMIN",  # nftables inside; nspawn gives it only with a network of its own
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--notify-ready=no",
        "--console=read-only",  # a terminal of its own: systemd and cloud-init write to nothing else
        "systemd.show_status=yes",  # on the console, as a virtual machine's shows it
    ]


def leader(process: Process | None) -> Process | None:
    """Process 1 of the machine: our loop's child is nspawn, whose child it is."""
    if not alive(process) or process is None:
        return None
    found = [leader for nspawn in children(process.pid) for leader in children(nspawn)]
    return identify(found[0]) if found else None


def init(process: Process | None, seconds: float = 20) -> Process | None:
    """Process 1 once it is the machine's own init; None where none comes. Before that it is nspawn still, which begins
    in the host's root and with the host's /dev."""
    deadline = time.monotonic() + seconds
    while alive(process) and time.monotonic() < deadline:
        found = leader(process)
        if found is not None and _program(found.pid) not in ("", NSPAWN):
            return found
        time.sleep(0.01)
    return None


def _program(pid: int) -> str:
    """The name of what it runs; "" where it has ended."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""


def forget_lock(root: Path) -> None:
    """nspawn locks a tree by a file named after it, and leaves that behind."""
    if root.is_dir():
        facts = root.stat()
        (STATE / f"locks/inode-{facts.st_dev}:{facts.st_ino}").unlink(missing_ok=True)


def forget_propagation(machines: str) -> None:
    """nspawn leaves these directories behind where /run is no tmpfs. machines: a name or a pattern."""
    propagate = STATE / "propagate"
    for directory in [*propagate.glob(machines), propagate]:
        if directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()
