"""SystemdUnit: a unit file (or drop-in) that systemd knows of as soon as it has changed."""

from __future__ import annotations

from kokki import systemd
from kokki.base import ModeArgument, ResourceArgument
from kokki.paths import system_path
from kokki.providers import Changes
from kokki.resources.files import File, FileProvider

__all__ = ["SystemdUnit"]

FOLDER = "/etc/systemd/system"


class SystemdUnit(File):
    """name: backup.timer, or nginx.service.d/limits.conf for a drop-in.  content: as of a File."""

    path = ResourceArgument(default=lambda resource: system_path(f"{FOLDER}/{resource.name}"))
    mode = ModeArgument(default=0o644)


class SystemdUnitProvider(FileProvider):
    makes_parents = True

    def _apply(self, path: str, changes: Changes) -> None:
        super()._apply(path, changes)
        self._reload()

    def _delete(self, path: str) -> None:
        super()._delete(path)
        self._reload()

    def _reload(self) -> None:
        self.resource.updated()  # the file has changed even if systemd can't read it
        systemd.reload_units()
