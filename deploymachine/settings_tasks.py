"""What settings.py says of work that nobody waits for in, frozen and checked values out: Celery's workers, and CRON."""

from __future__ import annotations

import re
import shlex
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from deploymachine import schedules
from deploymachine.settings_servers import Frozen, Name

Queue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Processes = Annotated[int, Field(ge=1, le=256)]
Application = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?$")]


class Celery(Frozen):
    """app: as `celery --app` takes it. queues: name -> worker processes on each tasknode. beat: whether it has one."""

    app: Application
    queues: dict[Queue, Processes] = Field(default={"celery": 2}, min_length=1)
    beat: bool = False


def _readable(schedule: str) -> str:
    schedules.calendar(schedule)
    return schedule


def _words(command: str) -> str:
    if not shlex.split(command):
        raise ValueError("is empty: it is what follows `manage.py`")
    return command


class Cron(Frozen):
    """One management command of one site, and when: as a line of a crontab says it."""

    site: Name
    schedule: Annotated[str, AfterValidator(_readable)]
    command: Annotated[str, AfterValidator(_words)]

    @property
    def name(self) -> str:
        """What its units are called: "cron-guestbook-clearsessions"."""
        return f"cron-{self.site}-{re.sub('[^A-Za-z0-9]+', '-', self.command).strip('-')[:80]}"
