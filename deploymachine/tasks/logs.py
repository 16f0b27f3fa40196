"""`fab logs`: what servers logged, from all of them, sorted by time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from deploymachine.tasks._deployment import deployment
from deploymachine.tasks._selection import selected_or_none
from deploymachine.tasks._task import INTERRUPTED, task

if TYPE_CHECKING:
    from deploymachine.logs import Question
    from deploymachine.servertypes import Deployment

HELP = {
    "site": "only what is logged for this site",
    "server": "only what this server logged; several with commas between them",
    "since": "10m, 2h, 3d, or '2026-01-31 12:00' (UTC); an hour, or with --follow from now on",
    "grep": "only lines that hold this text, letter by letter",
    "follow": "go on with what is logged from now on, until Ctrl-C",
    "direct": "ask each server for its own logs, also where there is a lognode",
}


@task(help=HELP)
def logs(
    _: Context,
    site: str = "",
    server: str = "",
    since: str = "",
    grep: str = "",
    follow: bool = False,
    direct: bool = False,
) -> None:
    """Show what was logged, sorted by time: `fab logs --since 10m --grep ERROR`, `fab appnode logs --follow`."""
    from deploymachine import logs as module

    now = datetime.now(timezone.utc)
    begin = module.moment(since or ("0s" if follow else "1h"), now)
    here = deployment()
    question = module.Question(
        since=begin,
        servers=(*_names(server), *(one.name for one in selected_or_none(here.inventory) or ())),
        site=module.known_site(site, here) if site else None,
        grep=grep,
        follow=follow,
        direct=direct,
    )
    answer(question, here, flushed if follow else sys.stdout.write)


def answer(question: Question, here: Deployment, write: Callable[[str], object]) -> None:
    """Write every line that answers; a reader who has seen enough, and Ctrl-C, end it quietly. Raises Exit."""
    from deploymachine import logs as module

    try:
        module.show(question, here, write)
        sys.stdout.flush()
    except BrokenPipeError:  # `fab logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        raise Exit(code=0 if question.follow else INTERRUPTED) from None


def _names(words: str) -> list[str]:
    return [name for name in words.split(",") if name]


def flushed(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
