"""Questions before something is destroyed; they refuse where nobody can answer."""

from __future__ import annotations

import sys

from deploymachine.errors import UsageError
from deploymachine.settings_file import environment_of, settings_path
from deploymachine.tasks import _deployment


def agreed(question: str, yes: bool, *, always: bool = False) -> bool:
    """Ask on the terminal; `yes` answers it, and so does a deployment that is not for production.

    always: it is about more than this deployment. Raises UsageError where there is no terminal to ask on.
    """
    if yes or not (always or _in_production()):
        return True
    question = f"{_where()}{question}"
    if not sys.stdin.isatty():
        raise UsageError("This needs a confirmation", why=question, hint="say --yes where nobody can answer")
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


def typed(why: str, word: str, said: str) -> bool:
    """Have `word` typed on the terminal, or given beforehand as `said` (a list with commas).

    Raises UsageError where there is no terminal to type it on.
    """
    why = f"{_where()}{why}"
    if said:
        return word in said.split(",")
    if not sys.stdin.isatty():
        raise UsageError(
            f"This needs {word!r} to be typed", why=why, hint=f"say --yes-i-mean-it {word} where nobody can answer"
        )
    return input(f"{why}. Type {word} to go on: ").strip() == word


def _in_production() -> bool:
    """As the settings say; where there are none, it is taken for granted."""
    there = settings_path(_deployment.directory()).is_file()
    return not there or _deployment.settings().PRODUCTION


def _where() -> str:
    """The environment, in front of a question; "" for the usual deployment."""
    name = environment_of(settings_path(_deployment.directory()))
    return f"{name}: " if name else ""
