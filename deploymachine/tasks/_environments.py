"""`fab staging ...`: the word in front of the command line that means the deployment of settings_staging.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task

from deploymachine.errors import SettingsError, UsageError
from deploymachine.settings_file import choose, environments
from deploymachine.tasks._task import task
from deploymachine.tasks.completion import line_asked, words_of


def chosen(words: Sequence[str], directory: Path) -> str | None:
    """Have the first word that is no option choose the deployment, where it is the name of an environment."""
    line = line_asked(words)
    typed = words if line is None else words_of(line)[:-1]
    first = next((word for word in typed if not word.startswith("-")), None)
    found = first if first in environments(directory) else None
    try:
        choose(found)
    except SettingsError as error:
        raise Exit(f"error: {error}", 1) from None
    return found


def tasks(directory: Path, now: str | None, taken: Iterable[str]) -> list[Task[Any]]:
    """One for each environment; but for those that have the name of another task, which a word can't choose."""
    known = set(taken)
    if now in known:
        error = UsageError(
            f"`fab {now}` could mean two things",
            why=f"a task, or settings_{now}.py",
            hint="give that file another name",
        )
        raise Exit(f"error: {error}", 1)
    return [_task(name, now) for name in environments(directory) if name not in known]


def _task(name: str, now: str | None) -> Task[Any]:
    def body(_: Context) -> None:
        if name != now:
            meant = f"the deployment of settings_{now}.py" if now else "that of settings.py"
            raise UsageError(
                f"{name} is not the first word",
                why=f"a command line is about one deployment, and the first word says which: this one is about {meant}",
                hint=f"`fab {name} ...`",
            )

    body.__doc__ = f"Work with the deployment of settings_{name}.py: `fab {name} everything status`. Comes first."
    return task(name=name)(body)
