"""The layers of an image go in; a machine's root file system comes out: an overlay of its own on them, or a volume.

A machine's directory holds: root (where it is mounted), upper and work (what it wrote), lowers (the layers below).
A snapshot's: layer (what was written), lowers (the layers below that).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploymachine.devcloud.run import run, succeeds
from deploymachine.errors import DevcloudError

DEEPEST = 8  # snapshots of snapshots, before one holds everything itself


def create(disk: Path, lowers: Sequence[Path]) -> None:
    """lowers: directories, the topmost first; none for a disk whose root is a volume."""
    for name in ("upper", "work", "root") if lowers else ("root",):
        (disk / name).mkdir(parents=True)
    (disk / "lowers").write_text(json.dumps([str(path) for path in lowers]))


def mount(disk: Path, device: str | None = None) -> None:
    """device: of the volume that is its root. What is mounted already stays."""
    if (disk / "root").is_mount():
        return
    if device is not None:
        # no write barriers, for the reason below
        run(["mount", "-t", "ext4", "-o", "noatime,nobarrier", device, str(disk / "root")])
        return
    # "volatile" drops fsync, which package installs spend half their time in; only a crash of this host,
    # after which the kernel wants its marker removed, could cost a machine its latest writes.
    shutil.rmtree(disk / "work/work/incompat", ignore_errors=True)
    options = f"lowerdir={_joined(lowers(disk))},upperdir={disk}/upper,workdir={disk}/work,volatile"
    run(["mount", "-t", "overlay", "overlay", "-o", options, str(disk / "root")])


def lowers(directory: Path) -> list[Path]:
    """The layers below a machine's or a snapshot's own."""
    return [Path(path) for path in json.loads((directory / "lowers").read_text())]


def of_snapshot(snapshot: Path) -> list[Path]:
    """The layers of a machine that boots from it."""
    return [snapshot / "layer", *lowers(snapshot)]


def save(disk: Path, snapshot: Path) -> None:
    """What a machine's disk holds now, as a snapshot: what it wrote itself, or all of it where that won't do.

    Raises DevcloudError for all of a disk that is not mounted, as after a restart of this host.
    """
    below = lowers(disk)
    whole = not 0 < len(below) <= DEEPEST
    if whole and not (disk / "root").is_mount():
        raise DevcloudError("the server's disk is not mounted", hint="start the server once, then repeat")
    part = snapshot.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    run(["cp", "--archive", "--reflink=auto", str(disk / ("root" if whole else "upper")), str(part / "layer")])
    (part / "lowers").write_text(json.dumps([] if whole else [str(path) for path in below]))
    part.rename(snapshot)


@contextmanager
def merged(layers: Sequence[Path], place: Path) -> Iterator[Path]:
    """All of an image's layers as one tree, to be read for a moment."""
    if len(layers) == 1:
        yield layers[0]
        return
    place.mkdir(parents=True)
    run(["mount", "-t", "overlay", "overlay", "-o", f"ro,lowerdir={_joined(layers)}", str(place)])
    try:
        yield place
    finally:
        unmount(place)
        place.rmdir()


def unmount(root: Path) -> None:
    """Gone when this returns; lazily if something still looks into it."""
    if root.is_mount() and not succeeds(["umount", str(root)]):
        run(["umount", "--lazy", str(root)])


def size(tree: Path) -> int:
    """What it takes on disk, in bytes."""
    return int(run(["du", "--summarize", "--block-size=1", str(tree)]).split()[0])


def _joined(layers: Sequence[Path]) -> str:
    return ":".join(map(str, layers))
