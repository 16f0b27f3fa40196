"""A volume's file goes in; a block device of this host comes out, and is freed again with nothing left of it.

Which device belongs to which file is asked of the kernel each time, so no restart can make us forget one.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

from deploymachine.devcloud.run import run, succeeds
from deploymachine.errors import DevcloudError

GB = 1 << 30


def create(file: Path, size_gb: int) -> None:
    """Sparse, so it costs what is written to it."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.truncate(descriptor, size_gb * GB)
    finally:
        os.close(descriptor)


def fill(file: Path, tree: Path) -> None:
    """With an ext4 file system that holds a copy of the tree."""
    run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-d", str(tree), str(file)])


def copy(source: Path, file: Path) -> None:
    """With its holes."""
    run(["cp", "--sparse=always", "--reflink=auto", str(source), str(file)])


def extend(file: Path, size_gb: int) -> None:
    """Whoever uses it sees the new size at once; growing the file system is theirs."""
    os.truncate(file, size_gb * GB)
    for device in _devices(file):
        run(["losetup", "--set-capacity", device])


def device(file: Path) -> str:
    """Its block device, made if there is none: "/dev/loop9"."""
    found = _devices(file)
    return found[0] if found else run(["losetup", "--find", "--show", str(file)]).strip()


def release(file: Path, seconds: float = 10) -> None:
    """Free its device. Raises DevcloudError if something goes on using it."""
    deadline = time.monotonic() + seconds
    while found := _devices(file):
        for name in found:
            succeeds(["losetup", "--detach", name])  # freed by the kernel when its last user lets go
        if time.monotonic() > deadline:
            raise DevcloudError("a volume is still in use", where=str(file), why=f"{found[0]} can't be freed")
        time.sleep(0.02)


def _devices(file: Path) -> list[str]:
    if not file.exists():
        return []
    return run(["losetup", "--noheadings", "--output", "NAME", "--associated", str(file)]).split()


def show(leader: int, name: str, target: str, alias: str) -> None:
    """Make the device appear in a running machine. leader: its process 1. alias: a link beside it in /dev."""
    node = inside(leader, target)
    hide(leader, target, alias)
    os.mknod(node, 0o660 | stat.S_IFBLK, Path(name).stat().st_rdev)
    link = inside(leader, alias)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


def hide(leader: int, target: str, alias: str) -> None:
    """Unmount what the machine mounted from it, as far as that can be done, and take its names away."""
    node = inside(leader, target)
    if node.is_block_device():
        number = node.stat().st_rdev
        _unmount(leader, 2, f"{os.major(number)}:{os.minor(number)}")
    _unmount(leader, 4, target)  # bound by nspawn when it booted
    node.unlink(missing_ok=True)
    inside(leader, alias).unlink(missing_ok=True)


def _unmount(leader: int, field: int, value: str) -> None:
    """Whatever is mounted with that value in that field of mountinfo, the latest first."""
    for line in reversed(Path(f"/proc/{leader}/mountinfo").read_text().splitlines()):
        if line.split()[field] == value:
            place = line.split()[4].encode().decode("unicode_escape")
            run(["nsenter", f"--target={leader}", "--mount", "--pid", "--root", "umount", "--lazy", place])


def inside(leader: int, path: str) -> Path:
    """A path of the machine, as this host reaches it."""
    return Path(f"/proc/{leader}/root{path}")
