"""What servers logged, sorted by time: the last of it, what holds a text, what is one site's."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from invoke.context import Context

from deploymachine.contrib._site import SITE
from deploymachine.site_names import chosen
from deploymachine.tasks import deployment, task
from deploymachine.tasks._selection import selected_or_none
from deploymachine.tasks.logs import answer, flushed

if TYPE_CHECKING:
    from deploymachine.logs import Question
    from deploymachine.servertypes import Deployment

SINCE = {"since": "10m, 2h, 3d, or '2026-01-31 12:00' (UTC)"}
FOLLOW = {"follow": "go on with what is logged from now on, until Ctrl-C"}


@task(help={**SINCE, **FOLLOW, "lines": "how many, of all servers together"})
def tail(_: Context, lines: int = 50, since: str = "1h", follow: bool = False) -> None:
    """Show the last lines that were logged: `fab appnode logs.tail --lines 20 --follow`. Of all where none is named.

    Changes nothing.
    """
    here, begin = deployment(), datetime.now(timezone.utc)
    servers = _names(here)
    last: deque[str] = deque(maxlen=max(1, lines))
    # What came while this was asked is left to what follows: no line is shown twice.
    later = f"{begin:%Y-%m-%dT%H:%M:%S.%f}" if follow else "~"
    answer(_question(since, servers), here, lambda line: last.append(line) if line < later else None)
    for line in last:
        flushed(line)
    if follow:
        answer(replace(_question("0s", servers), since=begin, follow=True), here, flushed)


@task(positional=["text"], help={**SINCE, **FOLLOW, "text": "what a line holds, letter by letter"})
def grep(_: Context, text: str, since: str = "1d", follow: bool = False) -> None:
    """Show lines that hold a text: `fab everything logs.grep 'connection refused' --since 2h`. Changes nothing."""
    here = deployment()
    answer(replace(_question(since, _names(here)), grep=text, follow=follow), here, flushed)


@task(help={**SITE, **SINCE, **FOLLOW, "grep": "only lines that hold this text, letter by letter"})
def site(_: Context, site: str = "", since: str = "1h", grep: str = "", follow: bool = False) -> None:
    """Show what is logged for one site, from balancer to worker: `fab logs.site --site blog`. Changes nothing."""
    here = deployment()
    name = chosen(site, here.settings.SITES)
    answer(replace(_question(since, _names(here)), site=name, grep=grep, follow=follow), here, flushed)


def _question(since: str, servers: tuple[str, ...]) -> Question:
    from deploymachine.logs import Question, moment

    return Question(since=moment(since, datetime.now(timezone.utc)), servers=servers)


def _names(here: Deployment) -> tuple[str, ...]:
    return tuple(server.name for server in selected_or_none(here.inventory) or ())
