"""AptRepository: a source of packages and the key it is signed with; packages declared after it may come from it."""

from __future__ import annotations

import os
from typing import Any, ClassVar, Dict, List

from kokki.base import ForcedListArgument, Resource, ResourceArgument
from kokki.exceptions import InvalidArgument
from kokki.paths import system_path
from kokki.providers import Changes, Provider
from kokki.writing import Replacement, read_file

__all__ = ["AptRepository"]


class AptRepository(Resource):
    """uris, suites, components, types, architectures: as in deb822 sources.

    key: the signing key, armored text or a Source.  signed_by: instead, the path of a keyring that is there.
    """

    action = ForcedListArgument(default="create")
    uris = ForcedListArgument(required=True)
    suites = ForcedListArgument(default=lambda resource: [resource.env.system.lsb["codename"]])
    components = ForcedListArgument(default=lambda _resource: ["main"])
    types = ForcedListArgument(default=lambda _resource: ["deb"])
    architectures = ForcedListArgument(default=lambda _resource: [])
    key = ResourceArgument()
    signed_by = ResourceArgument()

    actions: ClassVar[List[str]] = [*Resource.actions, "create", "delete"]

    def _validate(self) -> None:
        if self.action != ["delete"] and (self.key is None) == (self.signed_by is None):
            raise InvalidArgument(f"{self} needs either key or signed_by")


class AptRepositoryProvider(Provider):
    tells_the_future = True

    def action_create(self) -> None:
        wanted = self._wanted()
        current = {path: read_file(path).get("content") for path in wanted}
        self.converge(current, dict(wanted), self._write, diff=lambda: self._diff(current, wanted))

    def action_delete(self) -> None:
        there = {path: os.path.exists(path) for path in (self._source, self._keyring)}
        self.converge(there, dict.fromkeys(there, False), self._delete)

    def describe(self, key: str, old: Any, new: Any) -> str:
        if new is False:
            return f"{key} deleted"
        return f"{key} created" if old is None else f"{key} changed"

    @property
    def _source(self) -> str:
        return system_path(f"/etc/apt/sources.list.d/{self.resource.name}.sources")

    @property
    def _keyring(self) -> str:
        return system_path(f"/etc/apt/keyrings/{self.resource.name}.asc")

    def _wanted(self) -> Dict[str, bytes]:
        """Path -> content; the key first, so that the source is never there without it."""
        key = self.resource.key() if callable(self.resource.key) else self.resource.key
        keyring = {} if key is None else {self._keyring: key if isinstance(key, bytes) else key.encode()}
        return {**keyring, self._source: self._described().encode()}

    def _described(self) -> str:
        resource = self.resource
        fields = {
            "Types": resource.types,
            "URIs": resource.uris,
            "Suites": resource.suites,
            "Components": resource.components,
            "Architectures": resource.architectures,
            "Signed-By": [resource.signed_by or self._keyring],
        }
        return "".join(f"{name}: {' '.join(values)}\n" for name, values in fields.items() if values)

    def _write(self, changes: Changes) -> None:
        for path, (_old, new) in changes.items():
            os.makedirs(os.path.dirname(path), exist_ok=True)
            Replacement(path, new, {"mode": 0o644}).land()
            self.resource.updated()

    def _delete(self, changes: Changes) -> None:
        for path in changes:
            os.unlink(path)

    def _diff(self, current: Dict[str, Any], wanted: Dict[str, bytes]) -> str:
        from kokki.diff import unified

        return "".join(unified(path, current[path], new) for path, new in wanted.items() if current[path] != new)
