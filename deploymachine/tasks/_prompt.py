"""A question before something is destroyed; it refuses where nobody can answer."""

from __future__ import annotations

import sys

from deploymachine.errors import UsageError


def agreed(question: str, yes: bool) -> bool:
    """Ask on the terminal; `yes` answers it. Raises UsageError where there is no terminal to ask on."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("This needs a confirmation", why=question, hint="say --yes where nobody can answer")
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
