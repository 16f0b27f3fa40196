"""What goes wrong while recipes are declared or run; leaves as errors that carry their evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Dict, List, Optional


class Fail(Exception):  # noqa: N818 - the name recipes know it by
    """A resource, recipe or setting can't be right.

    command, exit_code, output (last lines): evidence of a process that failed.  hint: what to do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        command: Optional[str] = None,
        exit_code: Optional[int] = None,
        output: Sequence[str] = (),
        hint: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.command = command
        self.exit_code = exit_code
        self.output: List[str] = list(output)
        self.hint = hint
        self.told = False  # whether an event has told the user already

    def as_event(self) -> Dict[str, Any]:
        found = {"message": self.message, "command": self.command, "exit_code": self.exit_code, "output": self.output}
        if self.hint:
            found["hint"] = self.hint
        return {key: value for key, value in found.items() if value is not None and value != []}


class InvalidArgument(Fail):
    """A resource was given a value it can't use."""


class Stopped(Fail):
    """The run was asked to end (a signal, a closed connection) and ended between two resources."""


def suggest(wrong: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest of the known names, or ''."""
    from difflib import get_close_matches

    near = get_close_matches(wrong, [name for name in known if isinstance(name, str)], 1, 0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
