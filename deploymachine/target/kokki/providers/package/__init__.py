"""The provider that cookbooks of Kokki 0.4 extend for packages of another kind than the system's."""

from __future__ import annotations

from typing import Any, Optional

from kokki.exceptions import Fail
from kokki.providers import Provider

__all__ = ["PackageProvider"]


class PackageProvider(Provider):
    """A subclass has `get_current_status` set `current_version`, and gives `candidate_version` and the `*_package`s."""

    current_version: Optional[str] = None
    candidate_version: Any = None

    def __init__(self, resource: Any) -> None:
        super().__init__(resource)
        self.get_current_status()

    def get_current_status(self) -> None:
        raise NotImplementedError

    def install_package(self, name: str, version: Optional[str]) -> Any:
        raise NotImplementedError

    def upgrade_package(self, name: str, version: Optional[str]) -> Any:
        return self.install_package(name, version)

    def remove_package(self, name: str, version: Optional[str]) -> Any:
        raise NotImplementedError

    def purge_package(self, name: str, version: Optional[str]) -> Any:
        return self.remove_package(name, version)

    def action_install(self) -> None:
        wanted = self.resource.version
        if self.current_version is not None and wanted in (None, self.current_version):
            return
        self._bring(self.install_package, wanted or self.candidate_version)

    def action_upgrade(self) -> None:
        if self.current_version != self.candidate_version:
            self._bring(self.upgrade_package, self.candidate_version)

    def action_remove(self) -> None:
        self._take(self.remove_package)

    def action_purge(self) -> None:
        self._take(self.purge_package)

    def _bring(self, install: Any, version: Optional[str]) -> None:
        if not version:
            raise Fail(f"{self.resource}: no version was asked for, and none can be found")
        install(self.resource.package_name, version)
        self.changes.append(f"version {self.current_version or 'none'} -> {version}")
        self.resource.updated()

    def _take(self, remove: Any) -> None:
        if self.current_version is not None:
            remove(self.resource.package_name, self.current_version)
            self.changes.append(f"removed {self.current_version}")
            self.resource.updated()
