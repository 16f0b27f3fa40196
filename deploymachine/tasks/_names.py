"""Tasks that take as many servers' names as one likes, which Invoke itself has no way to say."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from invoke.parser.argument import Argument
from invoke.tasks import Task

from deploymachine.tasks._task import task

_tasks: set[str] = set()


def know_tasks(names: list[str]) -> None:
    """Which words on the command line are tasks and so end a list of names."""
    _tasks.update(names)


class _Named(Task[Any]):
    """Its body takes `names`, a list; the words up to the next option or task are the arguments."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        others = super().get_arguments(ignore_unknown_help)
        names = next(one for one in others if one.name == "names")
        count = max(1, _count(sys.argv[sys.argv.index(self.name) + 1 :] if self.name in sys.argv else []))
        words = [Argument(name="name", positional=True, kind=str, help=names.help)]
        words += [Argument(name=f"name{number}", positional=True, kind=str) for number in range(2, count + 1)]
        return [*words, *(one for one in others if one.name != "names")]

    def __call__(self, *args: Any, **options: Any) -> Any:
        given = [key for key in options if key == "name" or (key[:4] == "name" and key[4:].isdigit())]
        words = [options.pop(key) for key in sorted(given, key=lambda key: int(key[4:] or 1))]
        names = [name for word in words for name in str(word).split(",") if name]
        return super().__call__(*args, names=list(dict.fromkeys(names)), **options)


def _count(words: list[str]) -> int:
    ends = [number for number, word in enumerate(words) if word.startswith("-") or word in _tasks]
    return min([len(words), *ends])


def named_task(**options: Any) -> Callable[[Callable[..., Any]], Task[Any]]:
    """As @task(), for a body with an argument `names`: `fab TASK NAME...` or `fab TASK NAME,NAME`."""

    def made(body: Callable[..., Any]) -> Task[Any]:
        name = body.__name__
        return _Named(task(positional=["names"], **options)(body).body, name=name, positional=["names"], **options)

    return made
