"""A devcloud's layout goes in; every trace of it on this machine comes out, one line each."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from deploymachine.devcloud.layout import Layout


def leftovers(layout: Layout) -> list[str]:
    prefix, home = f"dc{layout.tag}-", f"{layout.directory}/"
    return [
        *(f"link: {line}" for line in output("ip", "-br", "link").splitlines() if line.startswith(prefix)),
        *(f"route: {line}" for line in output("ip", "route").splitlines() if prefix in line),
        *(f"namespace: {line}" for line in output("ip", "netns").splitlines() if line.startswith(prefix)),
        *(f"table: {line}" for line in output("nft", "list", "tables").splitlines() if line.endswith(layout.table)),
        *(f"cgroup: {path}" for path in cgroups() if path.name == layout.cgroup),
        *(f"mount: {line}" for line in mounts() if str(layout.directory / "machines") in line),
        *(f"process: {line}" for line in processes() if prefix in line or str(layout.directory) in line),
        *(f"nspawn: {path}" for path in Path("/run/systemd/nspawn/propagate").glob(f"{prefix}*")),
        *(f"loop: {line}" for line in output("losetup", "--list", "--noheadings").splitlines() if home in line),
        *(f"held: {path}" for path in (layout.images / ".held").glob(f"*/{layout.tag}-*")),
        *(f"file: {path}" for path in layout.directory.rglob("*")),
    ]


def of_machine(layout: Layout, number: int, server_id: str) -> list[str]:
    """What of one machine is there: its link and namespace, cgroups, disk, mount and processes."""
    name = layout.machine(number)
    return [
        line
        for line in leftovers(layout)
        if name in line.split("@")[0].split() or server_id in line or f"--machine={name}" in line
    ] + [f"cgroup: {path}" for path in Path("/sys/fs/cgroup").glob(f"*/{layout.cgroup}/{number}")]


def cgroups() -> list[Path]:
    """Those of others come and go meanwhile: what is gone is not looked into."""
    return [Path(place, name) for place, names, _ in os.walk("/sys/fs/cgroup") for name in names]


def mounts() -> list[str]:
    return Path("/proc/mounts").read_text().splitlines()


def processes() -> list[str]:
    """Command lines; a zombie has none, and whether orphans are reaped is up to this machine's process 1."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_text().replace("\0", " ").strip())
        except OSError:
            continue
    return lines


def output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
