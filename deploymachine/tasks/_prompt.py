"""Questions before something is destroyed; they refuse where nobody can answer."""

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


def typed(why: str, word: str, said: str) -> bool:
    """Have `word` typed on the terminal, or given beforehand as `said` (a list with commas).

    Raises UsageError where there is no terminal to type it on.
    """
    if said:
        return word in said.split(",")
    if not sys.stdin.isatty():
        raise UsageError(
            f"This needs {word!r} to be typed", why=why, hint=f"say --yes-i-mean-it {word} where nobody can answer"
        )
    return input(f"{why}. Type {word} to go on: ").strip() == word
