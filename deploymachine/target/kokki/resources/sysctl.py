"""Sysctl: a kernel setting, now and after the next boot."""

from __future__ import annotations

import os
from typing import Any, ClassVar, List, Optional

from kokki.base import BooleanArgument, ForcedListArgument, Resource, ResourceArgument
from kokki.exceptions import Fail
from kokki.paths import system_path
from kokki.providers import Changes, Provider
from kokki.resources.line import having
from kokki.writing import Replacement, read_file

__all__ = ["Sysctl"]


class Sysctl(Resource):
    """name: net.core.somaxconn.  value: number or text.  path: the file it is kept in.  live: set it now as well."""

    action = ForcedListArgument(default="create")
    value = ResourceArgument(required=True)
    path = ResourceArgument(default=lambda _resource: system_path("/etc/sysctl.d/60-kokki.conf"))
    live = BooleanArgument(default=True)

    actions: ClassVar[List[str]] = [*Resource.actions, "create"]


class SysctlProvider(Provider):
    """Reads and writes /proc/sys itself: no process for either."""

    tells_the_future = True

    def action_create(self) -> None:
        value = _words(self.resource.value)
        self._text = read_file(self.resource.path).get("content", b"").decode()
        current = {"kept": self._kept(), "live": self._live() if self.resource.live else None}
        self.converge(current, {"kept": value, **({"live": value} if self.resource.live else {})}, self._apply)

    def _apply(self, changes: Changes) -> None:
        if "kept" in changes:
            self._keep(changes["kept"][1])
        if "live" in changes:
            with open(self._knob, "w", encoding="ascii") as knob:
                knob.write(changes["live"][1])

    def _keep(self, value: str) -> None:
        key = self.resource.name.replace(".", r"\.")
        lines = having(self._text.splitlines(), f"{self.resource.name} = {value}", rf"^\s*{key}\s*=")
        os.makedirs(os.path.dirname(self.resource.path), exist_ok=True)
        replacement = Replacement(self.resource.path, "".join(f"{line}\n" for line in lines).encode(), {"mode": 0o644})
        replacement.land()
        self.resource.updated()

    @property
    def _knob(self) -> str:
        return system_path("/proc/sys/" + self.resource.name.replace(".", "/"))

    def _kept(self) -> Optional[str]:
        pairs = (line.partition("=") for line in self._text.splitlines() if not line.lstrip().startswith(("#", ";")))
        found = [_words(value) for key, _equals, value in pairs if key.strip() == self.resource.name]
        return found[-1] if found else None

    def _live(self) -> str:
        try:
            with open(self._knob, encoding="ascii") as knob:
                return _words(knob.read())
        except FileNotFoundError:
            raise Fail(f"This kernel has no setting {self.resource.name}") from None


def _words(value: Any) -> str:
    return " ".join(str(value).split())
