"""The provider that cookbooks of Kokki 0.4 extend for services of their own: `status` and `_init_cmd` are theirs."""

from __future__ import annotations

from typing import Optional

from kokki import process
from kokki.exceptions import Fail
from kokki.providers import Provider

__all__ = ["ServiceProvider"]


class ServiceProvider(Provider):
    """Acts by `_init_cmd(command, expected exit code)`, which runs the resource's own command or systemctl."""

    def action_start(self) -> None:
        if not self.status():
            self._do("start")

    def action_stop(self) -> None:
        if self.status():
            self._do("stop")

    def action_restart(self) -> None:
        self._do("restart" if self.status() else "start")

    def action_reload(self) -> None:
        self._do("reload" if self.status() else "start")

    def status(self) -> bool:
        return self._init_cmd("status") == 0

    def _do(self, command: str) -> None:
        self._init_cmd(command, 0)
        self.resource.updated()

    def _init_cmd(self, command: str, expect: Optional[int] = None) -> int:
        own = getattr(self.resource, f"{command}_command", None)
        if callable(own):
            code = 0 if own() else 1
        else:
            argv = ["/bin/sh", "-c", own] if own else ["systemctl", command, "--", self.resource.service_name]
            code = process.run(argv).code
        if expect is not None and code != expect:
            raise Fail(f"{self}: {command} of {self.resource.service_name} failed", exit_code=code)
        return code
