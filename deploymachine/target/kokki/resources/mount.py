"""Mount: a file system at its place, now (mount) and at boot (enable)."""

from __future__ import annotations

import os
from typing import Any, ClassVar, List, Optional

from kokki import process
from kokki.base import ForcedListArgument, Resource, ResourceArgument
from kokki.exceptions import Fail
from kokki.paths import system_path
from kokki.providers import Provider
from kokki.writing import Replacement, read_file

__all__ = ["Mount"]

FSTAB = "/etc/fstab"
MOUNTS = "/proc/self/mounts"


class Mount(Resource):
    """options, dump and passno are fstab's fields."""

    action = ForcedListArgument(default="mount")
    mount_point = ResourceArgument(default=lambda resource: resource.name)
    device = ResourceArgument()
    fstype = ResourceArgument()
    options = ForcedListArgument(default=lambda _resource: ["defaults"])
    dump = ResourceArgument(default=0)
    passno = ResourceArgument(default=2)

    actions: ClassVar[List[str]] = [*Resource.actions, "mount", "umount", "remount", "enable", "disable"]


class MountProvider(Provider):
    tells_the_future = True

    def action_mount(self) -> None:
        self.converge({"mounted": self._mounted()}, {"mounted": True}, lambda _changes: self._mount())

    def action_umount(self) -> None:
        command = ["umount", self._point]
        self.converge({"mounted": self._mounted()}, {"mounted": False}, lambda _changes: self._run(command))

    def action_remount(self) -> None:
        command = ["mount", "-o", ",".join(["remount", *self.resource.options]), self._point]
        self.converge({}, {"remounted": True}, lambda _changes: self._run(command))

    def action_enable(self) -> None:
        resource = self.resource
        if resource.device is None or resource.fstype is None:
            raise Fail(f"{resource} needs device and fstype to be put into {FSTAB}")
        options = ",".join(resource.options)
        line = f"{resource.device} {self._point} {resource.fstype} {options} {resource.dump} {resource.passno}"
        self._settle(line)

    def action_disable(self) -> None:
        self._settle(None)

    def describe(self, key: str, old: Any, new: Any) -> str:
        if key == "mounted":
            return "mounted" if new else "unmounted"
        if key == "remounted":
            return "remounted"
        return super().describe(key, old, new) if new is not None else f"{key} line removed"

    @property
    def _point(self) -> str:
        return str(self.resource.mount_point).rstrip("/") or "/"

    def _mounted(self) -> bool:
        lines = _lines(MOUNTS)
        return any(_point_of(line) == self._point for line in lines)

    def _mount(self) -> None:
        resource = self.resource
        os.makedirs(self._point, exist_ok=True)
        fstype = ["-t", resource.fstype] if resource.fstype is not None else []
        device = [resource.device] if resource.device is not None else []
        self._run(["mount", *fstype, "-o", ",".join(resource.options), *device, self._point])

    def _run(self, command: List[str]) -> None:
        process.check(command, f"{self.resource} failed")

    def _settle(self, line: Optional[str]) -> None:
        lines = _lines(FSTAB)
        ours = [text for text in lines if _point_of(text) == self._point]
        current = " ".join(ours[-1].split()) if ours else None
        self.converge({FSTAB: current}, {FSTAB: line}, lambda _changes: self._write(lines, line))

    def _write(self, lines: List[str], line: Optional[str]) -> None:
        kept = [text for text in lines if _point_of(text) != self._point]
        new = [*kept, *([line] if line is not None else [])]
        replacement = Replacement(system_path(FSTAB), "".join(f"{text}\n" for text in new).encode(), {})
        self.env.backup_file(system_path(FSTAB))
        replacement.land()


def _lines(path: str) -> List[str]:
    content: bytes = read_file(system_path(path)).get("content", b"")
    return content.decode("utf-8", "surrogateescape").splitlines()


def _point_of(line: str) -> Optional[str]:
    """The mount point of a line of fstab or mounts; spaces stand as \\040 there."""
    words = line.split()
    if len(words) < 2 or words[0].startswith("#"):
        return None
    return words[1].replace("\\040", " ").rstrip("/") or "/"
