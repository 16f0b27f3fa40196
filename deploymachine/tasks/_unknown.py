"""A word on the command line that is no task, or no number: one clear message, in place of Invoke's own or none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from invoke.exceptions import ParseError
from invoke.parser.parser import ParseMachine

from deploymachine import servertypes
from deploymachine.errors import UsageError

_see_value = ParseMachine.see_value
INVOKES_OWN = re.compile(r"No idea what '(.+)' is!")


def tell_unknown_words(tasks: Sequence[str]) -> None:
    """Have Invoke's parser say what is known. It offers no hook for that, hence the replaced method."""

    def error(self: ParseMachine, message: str) -> None:
        word = INVOKES_OWN.fullmatch(message)
        task = self.context.name if self.context is not None else None
        raise ParseError(f"error: {explained(word[1], task, tasks)}" if word else message, self.context)

    def checked(self: ParseMachine, value: Any) -> None:
        try:
            _see_value(self, value)
        except ValueError:
            flag = self.flag.name if self.flag is not None else "it"
            wrong = UsageError(f"--{flag.replace('_', '-')} takes a number, not {value!r}")
            raise ParseError(f"error: {wrong}", self.context) from None

    ParseMachine.error = error  # type: ignore[method-assign, assignment]
    ParseMachine.see_value = checked  # type: ignore[method-assign]


def explained(word: str, task: str | None, tasks: Sequence[str]) -> UsageError:
    """What to tell about `word`, which came after the task named `task`."""
    if word.startswith("-"):
        return UsageError(f"{task or 'fab'} has no option {word}", hint=f"`fab --help {task}` lists its options")
    close = difflib.get_close_matches(word, tasks, n=1)
    return UsageError(
        f"There is no task or server type {word!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
        why=f"the server types are: {', '.join(servertypes.names())}",
        hint="`fab --list` shows every task; a server of settings.py is selected by `server:NAME`",
    )
