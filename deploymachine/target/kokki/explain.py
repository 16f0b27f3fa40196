"""An exception out of a recipe goes in; where it happened, the line itself and a suggestion come out."""

from __future__ import annotations

import linecache
from dataclasses import dataclass
from typing import Any, Dict, Optional

from kokki.cookbook import SHORT_NAMES
from kokki.exceptions import Fail, suggest


@dataclass(frozen=True)
class Place:
    """where: book/recipes/x.py:12.  line: its text."""

    where: str
    line: str


def place(error: BaseException) -> Optional[Place]:
    """The innermost line of a cookbook that the error passed through."""
    if isinstance(error, SyntaxError) and error.filename in SHORT_NAMES:
        return _place(str(error.filename), error.lineno or 1)
    found = None
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name in SHORT_NAMES and (found is None or "/recipes/" in SHORT_NAMES[name] or "/recipes/" not in found[0]):
            found = (name, trace.tb_lineno)
        trace = trace.tb_next
    return _place(*found) if found is not None else None


def failure(error: BaseException) -> Dict[str, Any]:
    """The `failure` event of an error that ends a run."""
    found = place(error)
    event: Dict[str, Any] = {"event": "failure", "what": _what(error), "why": "", "hint": _hint(error)}
    if isinstance(error, Fail) and error.output:
        event["why"] = "\n".join(error.output)
    event.update(where=found.where if found is not None else "", source_line=found.line if found is not None else "")
    return event


def _place(path: str, number: int) -> Place:
    return Place(f"{SHORT_NAMES[path]}:{number}", linecache.getline(path, number).strip())


def _what(error: BaseException) -> str:
    if isinstance(error, (Fail, AttributeError)):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"syntax error: {error.msg}"
    return f"{type(error).__name__}: {error}"


def _hint(error: BaseException) -> str:
    if isinstance(error, Fail) and error.hint:
        return error.hint
    if isinstance(error, NameError):
        import kokki

        wrong = str(error).split("'")[1] if "'" in str(error) else ""
        if wrong in kokki.__all__:
            return "a recipe or library begins with `from kokki import *`"
        return suggest(wrong, [*kokki.__all__, "env"]).lstrip("; ")
    return ""
