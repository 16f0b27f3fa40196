"""Who shares this machine: one lock for all devclouds, and kernel switches turned back when the last one leaves."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.run import run, succeeds

REGISTER = Path("/run/deploymachine-devcloud")  # gone after a reboot, as the switches are
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


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
    """Turn forwarding on, remembering for whoever leaves last what it was."""
    REGISTER.mkdir(exist_ok=True)
    original = REGISTER / "ip_forward"
    if not original.exists():
        original.write_text(FORWARDING.read_text())
    (REGISTER / layout.table).write_text(str(layout.directory))
    FORWARDING.write_text("1")


def leave(layout: Layout) -> None:
    """Put the switches back unless another devcloud needs them; one whose table is gone died and doesn't count."""
    (REGISTER / layout.table).unlink(missing_ok=True)
    if not REGISTER.exists() or any(_runs(entry.name) for entry in REGISTER.glob("devcloud_*")):
        return
    original = REGISTER / "ip_forward"
    if original.exists():
        FORWARDING.write_text(original.read_text())
    run(["rm", "-rf", str(REGISTER)])


def remains(directory: Path) -> Layout | None:
    """A layout good enough to clean up by, where a state directory was deleted under a running devcloud."""
    place = Layout(directory, directory / "images", 0, "", "", "", "", 0)
    return place if (REGISTER / place.table).exists() else None


def _runs(table: str) -> bool:
    return succeeds(["nft", "list", "table", "inet", table])
