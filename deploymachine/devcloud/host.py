"""Who shares this machine: one lock for all devclouds, and kernel switches turned back when the last one leaves."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploymachine.devcloud.layout import Layout, load
from deploymachine.devcloud.run import run, succeeds

REGISTER = Path("/run/deploymachine-devcloud")  # gone after a reboot, as the switches are
SWITCHES = {  # and the least that devclouds need
    Path("/proc/sys/net/ipv4/ip_forward"): 1,
    Path("/proc/sys/fs/inotify/max_user_instances"): 8192,  # each machine takes 4 of the kernel's usual 128
}


@contextmanager
def locked() -> Iterator[None]:
    """One devcloud at a time chooses names and numbers or turns switches."""
    directory = os.open(REGISTER.parent, os.O_RDONLY)  # locked itself, so that no lock file stays behind
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def enter(layout: Layout) -> None:
    """Turn the switches that machines need, remembering for whoever leaves last how they were."""
    REGISTER.mkdir(exist_ok=True)
    (REGISTER / layout.table).write_text(str(layout.directory))
    for switch, least in SWITCHES.items():
        original = REGISTER / switch.name
        if not original.exists():
            original.write_text(switch.read_text())
        if int(switch.read_text()) < least:
            switch.write_text(str(least))


def leave(layout: Layout) -> None:
    """Put the switches back unless another devcloud needs them; one whose table is gone died and doesn't count."""
    (REGISTER / layout.table).unlink(missing_ok=True)
    if not REGISTER.exists() or any(_runs(entry.name) for entry in REGISTER.glob("devcloud_*")):
        return
    for switch in SWITCHES:
        original = REGISTER / switch.name
        if original.exists():
            switch.write_text(original.read_text())
    run(["rm", "-rf", str(REGISTER)])


def neighbours() -> list[Layout]:
    """Every devcloud that is up on this machine, also one whose API has died."""
    found = [load(Path(entry.read_text())) for entry in REGISTER.glob("devcloud_*")]
    return [one for one in found if one is not None]


def remains(directory: Path) -> Layout | None:
    """A layout good enough to clean up by, where a state directory was deleted under a running devcloud."""
    place = Layout(directory, directory / "images", 0, "", "", "", "", 0)
    return place if (REGISTER / place.table).exists() else None


def _runs(table: str) -> bool:
    return succeeds(["nft", "list", "table", "inet", table])
