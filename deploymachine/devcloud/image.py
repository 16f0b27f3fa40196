"""An image's name goes in; the tree of a Debian cloud image, built once and kept, comes out.

mmdebstrap rather than debootstrap: it resolves the whole list in one run of apt, cloud-init included, in 30 s.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from deploymachine.devcloud import aptsources
from deploymachine.devcloud.aptsources import Mirror
from deploymachine.devcloud.run import run
from deploymachine.errors import DevcloudError

DEFAULT = "debian-13"
PREPARED = "prepared"
HELD = ".held"
PACKAGES = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "libpam-systemd",
    "openssh-server",
    "cloud-init",
    "python3",
    "sudo",
    "iproute2",
    "iputils-ping",
    "ca-certificates",
    "netbase",
    "e2fsprogs",
    "curl",
    "locales",
    "procps",
    "less",
    "vim-tiny",
    "tzdata",
    "gpg",
]
# What costs boot time and can't work in a container, or would fight with provisioning for dpkg's lock.
MASKED = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "man-db.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty.target",
    "console-getty.service",
    "systemd-networkd.service",
    "systemd-networkd-wait-online.service",
    "systemd-firstboot.service",
    "systemd-udev-trigger.service",
    "cloud-init-hotplugd.socket",
]
CLOUD_INIT = """\
datasource_list: [NoCloud]
network: {config: disabled}
apt: {preserve_sources_list: true}
manage_etc_hosts: true
locale: C.UTF-8
"""


@dataclass(frozen=True)
class Release:
    """packages: that are in its image beside PACKAGES."""

    suite: str
    version: str
    packages: tuple[str, ...] = ()


RELEASES = {"debian-13": Release("trixie", "13"), "debian-12": Release("bookworm", "12")}


def offered() -> dict[str, Release]:
    """What there is to boot from: a third image where DEPLOYMACHINE_DEVCLOUD_PACKAGES says what it has installed."""
    packages = tuple(os.environ.get("DEPLOYMACHINE_DEVCLOUD_PACKAGES", "").split())
    default = RELEASES[DEFAULT]
    return {**RELEASES, PREPARED: replace(default, packages=packages)} if packages else RELEASES


def release_of(name: str) -> Release:
    """Raises DevcloudError for one that is not offered now, though a server may have been booted from it before."""
    if name not in offered():
        hint = "set DEPLOYMACHINE_DEVCLOUD_PACKAGES as it was, then restart devcloud"
        raise DevcloudError(f"the image {name} is not offered", hint=hint)
    return offered()[name]


def ensure(name: str, images: Path, progress: Callable[[str], None] = lambda _: None) -> Path:
    """The image's tree, built if it is missing or its recipe changed. Raises DevcloudError if it can't be."""
    images.mkdir(parents=True, exist_ok=True)
    with _locked(images):
        mirror = aptsources.mirror()
        tree = images / f"{name}-{fingerprint(name, mirror)}"
        if not tree.exists():
            _build(release_of(name), mirror, tree, progress)
        os.utime(tree)
        _forget(name, images)
    return tree


def built(name: str, images: Path) -> Path | None:
    """The tree there is, whatever its recipe."""
    return next((path for path in sorted(images.glob(f"{name}-*")) if path.suffix != ".part"), None)


def hold(tree: Path, who: str) -> None:
    """Keep a tree that a snapshot stands on, whatever becomes of its recipe. who: the snapshot."""
    held = tree.parent / HELD / tree.name
    held.mkdir(parents=True, exist_ok=True)
    (held / who).touch()


def release(images: Path, who: str) -> None:
    """who: as it was held, or a pattern of several."""
    for mark in list((images / HELD).glob(f"*/{who}")):
        mark.unlink()
        if not any(mark.parent.iterdir()):
            mark.parent.rmdir()
    if (images / HELD).exists() and not any((images / HELD).iterdir()):
        (images / HELD).rmdir()


def purge(images: Path) -> None:
    for name in [*RELEASES, PREPARED]:
        _forget(name, images, 0)
    (images / ".lock").unlink(missing_ok=True)
    if images.exists() and not any(images.iterdir()):
        images.rmdir()


def fingerprint(name: str, mirror: Mirror) -> str:
    """Of everything that decides what is in the tree."""
    recipe = [name, [*PACKAGES, *release_of(name).packages], MASKED, CLOUD_INIT, asdict(mirror)]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:8]


def _build(release: Release, mirror: Mirror, tree: Path, progress: Callable[[str], None]) -> None:
    part = tree.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    progress(f"building the image {tree.name} (once, about half a minute)")
    try:
        run(bootstrap(release, mirror, part))
        _finish(part)
    except DevcloudError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise DevcloudError(
            f"the image {tree.name} could not be built",
            why=error.evidence[-1] if error.evidence else error.why,
            hint="see whether `apt-get update` works here, then repeat",
            evidence=error.evidence,
        ) from error
    part.rename(tree)


def bootstrap(release: Release, mirror: Mirror, tree: Path) -> list[str]:
    return [
        "mmdebstrap",
        "--mode=root",
        "--variant=apt",
        "--format=directory",
        f"--include={','.join([*PACKAGES, *release.packages])}",
        *(f"--aptopt={option.rstrip(';')}" for option in mirror.options),
        release.suite,
        str(tree),
        *mirror.sources(release.suite),
    ]


def _finish(tree: Path) -> None:
    """What the makers of a cloud image do: no identity of its own in it, cloud-init told where to look."""
    for unit in MASKED:
        (tree / "etc/systemd/system" / unit).symlink_to("/dev/null")
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (tree / "etc/machine-id").write_text("")
    (tree / "etc/hostname").unlink(missing_ok=True)
    (tree / "etc/default/locale").write_text("LANG=C.UTF-8\n")
    (tree / "etc/cloud/cloud.cfg.d/90_devcloud.cfg").write_text(CLOUD_INIT)
    for stamp in ("etc/.updated", "var/.updated"):
        (tree / stamp).touch()  # or the first boot rebuilds caches that are fresh


def _forget(name: str, images: Path, seconds: float = 3600) -> None:
    """Remove older builds, but not one that machines run on, snapshots stand on or another devcloud just chose."""
    mounts = Path("/proc/mounts").read_text()
    for old in images.glob(f"{name}-*"):
        idle = time.time() - old.stat().st_mtime > seconds
        if idle and str(old) not in mounts and not (images / HELD / old.name).exists():
            shutil.rmtree(old)


@contextmanager
def _locked(images: Path) -> Iterator[None]:
    """Devclouds may share the cache; only one builds."""
    with (images / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
