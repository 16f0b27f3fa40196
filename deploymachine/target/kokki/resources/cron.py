"""Cron: a command in a user's crontab, at its times."""

from __future__ import annotations

from typing import ClassVar, List, Optional

from kokki import process
from kokki.base import ForcedListArgument, Resource, ResourceArgument
from kokki.paths import system_path
from kokki.providers import Provider
from kokki.writing import read_file

__all__ = ["Cron"]

SPOOL = "/var/spool/cron/crontabs"


class Cron(Resource):
    """schedule: "15 2 * * *" or "@daily", or else minute, hour, day, month, weekday ("*" each)."""

    action = ForcedListArgument(default="create")
    command = ResourceArgument()
    user = ResourceArgument(default="root")
    minute = ResourceArgument(default="*")
    hour = ResourceArgument(default="*")
    day = ResourceArgument(default="*")
    month = ResourceArgument(default="*")
    weekday = ResourceArgument(default="*")
    schedule = ResourceArgument(
        default=lambda cron: f"{cron.minute} {cron.hour} {cron.day} {cron.month} {cron.weekday}",
    )

    actions: ClassVar[List[str]] = [*Resource.actions, "create", "delete"]


class CronProvider(Provider):
    """An entry is the line below a comment with its name. Read from the spool; written by crontab, which tells cron."""

    tells_the_future = True

    def action_create(self) -> None:
        self._settle(f"{self.resource.schedule} {self.resource.command}")

    def action_delete(self) -> None:
        self._settle(None)

    def describe(self, key: str, old: Optional[str], new: Optional[str]) -> str:
        return super().describe(key, old, new) if new is not None else "deleted"

    def _settle(self, entry: Optional[str]) -> None:
        path = system_path(f"{SPOOL}/{self.resource.user}")
        lines = read_file(path).get("content", b"").decode().splitlines()
        self.converge({"entry": self._entry(lines)}, {"entry": entry}, lambda _changes: self._write(lines, entry))

    @property
    def _mark(self) -> str:
        return f"# kokki: {self.resource.name}"

    def _entry(self, lines: List[str]) -> Optional[str]:
        if self._mark not in lines:
            return None
        return next(iter(lines[lines.index(self._mark) + 1 :]), "")

    def _write(self, lines: List[str], entry: Optional[str]) -> None:
        new = [self._mark, entry] if entry is not None else []
        place = lines.index(self._mark) if self._mark in lines else len(lines)
        lines = [*lines[:place], *new, *lines[place + 2 :]]
        text = "".join(f"{line}\n" for line in lines)
        process.check(["crontab", "-u", str(self.resource.user), "-"], f"{self.resource} failed", stdin=text)
