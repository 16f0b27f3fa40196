"""What one look at one thing came to: ok, warn or fail, and the command or edit that mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from deploymachine.errors import DeployMachineError

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True)
class Line:
    """grade: ok, warn or fail. area: what was looked at. do: what mends it; "" where nothing is to be mended."""

    grade: str
    area: str
    text: str
    do: str = ""


def ok(area: str, text: str) -> Line:
    return Line(OK, area, text)


def warn(area: str, text: str, do: str) -> Line:
    return Line(WARN, area, text, do)


def fail(area: str, text: str, do: str) -> Line:
    return Line(FAIL, area, text, do)


def failed(area: str, error: DeployMachineError) -> Line:
    """An error as a line: what went wrong and why, then what to do."""
    parts = [error.what, *(f"({part})" for part in (error.where, error.why) if part)]
    return fail(area, one_line(" ".join(parts)), one_line(error.hint or ""))


def looked(area: str, look: Callable[[], Iterable[Line]]) -> Iterator[Line]:
    """The lines of `look`; whatever it raises is one more line, so that the others are looked at all the same."""
    from deploymachine.ssh import internal

    try:
        yield from look()
    except DeployMachineError as error:
        yield failed(area, error)
    except Exception as error:
        yield failed(area, internal(error))


def one_line(text: str) -> str:
    return " ".join(text.split())
