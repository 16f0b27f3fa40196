"""devcloud in; the seconds from a request to SSH, for one machine and for many at once, and what each costs, out.

It brings up a devcloud of its own in a temporary directory and removes all of it. Linux and root.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import openstack
from openstack.connection import Connection

from deploymachine.devcloud import control, layout
from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.state import Port, Store

AIMS = {"boot": 3.0, "memory": 60.0}  # seconds to SSH of one machine, MB of each
PATIENCE = 300  # seconds


@dataclass(frozen=True)
class Cost:
    """Of one machine, in MB. proportional: PSS of its processes. charged: to its cgroup, without page cache.

    processor: seconds that it has used since it began to boot.
    """

    proportional: float
    charged: float | None
    processor: float | None


@contextmanager
def devcloud() -> Iterator[tuple[Connection, Layout]]:
    """One that lets SSH in and leaves nothing behind."""
    directory = Path(tempfile.mkdtemp(prefix="deploymachine-bench-", dir="/var/tmp"))
    directory.chmod(0o711)
    os.environ["DEPLOYMACHINE_DEVCLOUD_DIR"] = str(directory / "state")
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(directory / "clouds.yaml")
    try:
        control.up(directory, lambda _: None)
        place = layout.load(directory / "state")
        assert place is not None  # noqa: S101 (it is up)
        with openstack.connect(cloud="devcloud") as cloud:
            group = cloud.network.find_security_group("default")
            rule = {"direction": "ingress", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22}
            cloud.network.create_security_group_rule(security_group_id=group.id, **rule)
            yield cloud, place
    finally:
        control.down(lambda _: None)
        shutil.rmtree(directory)


def boot(cloud: Connection, names: Sequence[str]) -> dict[str, float]:
    """Server id -> seconds from its request until its sshd greets, all asked for at once."""
    body = {
        "image_id": cloud.image.find_image("debian-13", ignore_missing=False).id,
        "flavor_id": cloud.compute.find_flavor("m1.tiny", ignore_missing=False).id,
        "networks": [{"uuid": cloud.network.find_network("private", ignore_missing=False).id}],
    }

    def one(name: str) -> tuple[str, float]:
        began = time.monotonic()
        server = cloud.compute.create_server(name=name, **body)
        while not (ports := list(cloud.network.ports(device_id=server.id))):
            time.sleep(0.05)
        _await_ssh(ports[0].fixed_ips[0]["ip_address"], began + PATIENCE)
        return server.id, time.monotonic() - began

    with ThreadPoolExecutor(len(names)) as pool:
        return dict(pool.map(one, names))


def _await_ssh(address: str, deadline: float) -> None:
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((address, 22), 2) as connection:
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"{address} answers no SSH after {PATIENCE} s")


def delete(cloud: Connection, servers: Sequence[str]) -> float:
    """The seconds until all are gone."""
    began = time.monotonic()
    for server in servers:
        cloud.compute.delete_server(server)
    while any(server.id in servers for server in cloud.compute.servers(details=False)):
        time.sleep(0.1)
    return time.monotonic() - began


def settle(quiet: float = 3.0) -> None:
    """Until the machines have finished what booting brings with it: cloud-init's last stage, mostly."""
    last, since, deadline = _busy(), time.monotonic(), time.monotonic() + PATIENCE
    while time.monotonic() < min(since + quiet, deadline):
        time.sleep(0.5)
        if (now := _busy()) != last:
            last, since = now, time.monotonic()


def _busy() -> set[str]:
    """Processes that end by themselves: cloud-init's."""
    names = {entry.parent.name for entry in Path("/proc").glob("[0-9]*/cmdline") if "cloud-init" in _text(entry)}
    return {name for name in names if name != str(os.getpid())}


def cost(place: Layout, server: str) -> Cost:
    ports = Store(place.directory / "state.json").all(Port)
    number = next(port.number for port in ports if port.device_id == server)
    groups = [path for path in Path("/sys/fs/cgroup").glob(f"**/{place.cgroup}/{number}") if path.is_dir()]
    pids = {pid for group in groups for file in group.rglob("cgroup.procs") for pid in _text(file).split()}
    proportional = sum(_kilobytes(Path("/proc", pid, "smaps_rollup"), r"^Pss:\s+(\d+)") for pid in pids) / 1024
    return Cost(proportional, _charged(groups), _processor(groups))


def _charged(groups: Sequence[Path]) -> float | None:
    """By cgroup version 1, then by version 2."""
    for names in (("total_rss", "total_shmem"), ("anon", "shmem", "kernel")):
        for group in groups:
            rows = dict(line.split() for line in _text(group / "memory.stat").splitlines())
            if names[0] in rows:
                return sum(int(rows.get(name, 0)) for name in names) / 2**20
    return None


def _processor(groups: Sequence[Path]) -> float | None:
    for group in groups:
        if (group / "cpuacct.usage").exists():
            return int(_text(group / "cpuacct.usage")) / 1e9
        if used := re.search(r"^usage_usec (\d+)", _text(group / "cpu.stat"), re.MULTILINE):
            return int(used[1]) / 1e6
    return None


def _kilobytes(file: Path, pattern: str) -> int:
    found = re.search(pattern, _text(file), re.MULTILINE)
    return int(found[1]) if found else 0


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:  # ended meanwhile
        return ""


def available_mb() -> float:
    """What this host could still give."""
    return _kilobytes(Path("/proc/meminfo"), r"^MemAvailable:\s+(\d+)") / 1024


def measure(cloud: Connection, place: Layout, rounds: int, many: int) -> dict[str, list[float]]:
    """Row of the report -> its figures."""
    alone: list[float] = []
    gone: list[float] = []
    for number in range(rounds):
        booted = boot(cloud, [f"one-{number}"])
        alone += booted.values()
        gone.append(delete(cloud, list(booted)))
    free, began = available_mb(), time.monotonic()
    fleet = boot(cloud, [f"many-{number}" for number in range(many)])
    all_up = time.monotonic() - began
    settle()
    costs = [cost(place, server) for server in fleet]
    charged = [one.charged for one in costs if one.charged is not None]
    taken = (free - available_mb()) / many
    return {
        "one machine, request to SSH (s)": alone,
        "one machine deleted (s)": gone,
        f"{many} at once, all answer SSH (s)": [all_up],
        f"{many} at once, each (s)": list(fleet.values()),
        "processor time of a boot (s)": [one.processor for one in costs if one.processor is not None],
        "memory of a machine, PSS (MB)": [one.proportional for one in costs],
        "memory of a machine, cgroup without page cache (MB)": charged,
        "memory that this host has less, per machine (MB)": [taken],
        f"{many} deleted (s)": [delete(cloud, list(fleet))],
    }


def report(rows: dict[str, list[float]]) -> str:
    lines = [f"{'':<52} {'median':>8} {'least - most':>15}"]
    for name, values in rows.items():
        if values:
            spread = f"{min(values):.1f} - {max(values):.1f}" if len(values) > 1 else ""
            lines.append(f"{name:<52} {statistics.median(values):>8.1f} {spread:>15}".rstrip())
    return "\n".join(lines)


def main() -> int:
    """Exit code 1 where an aim is missed."""
    parser = argparse.ArgumentParser(description="Time devcloud's machines and tell what they cost.")
    parser.add_argument("--machines", type=int, default=40, metavar="N", help="how many to boot at once")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often one is booted alone")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the finally blocks run
    warnings.filterwarnings("ignore", module=r"openstack\.")  # what the SDK deprecates within itself
    print(f"{os.cpu_count()} cores, {available_mb() / 1024:.0f} GB free, load {os.getloadavg()[0]:.1f} at the start")
    with devcloud() as (cloud, place):
        rows = measure(cloud, place, options.rounds, options.machines)
    print(report(rows))
    seconds, *_ = rows.values()
    memory = rows["memory of a machine, PSS (MB)"]
    return int(statistics.median(seconds) > AIMS["boot"] or statistics.median(memory) > AIMS["memory"])


if __name__ == "__main__":
    sys.exit(main())
