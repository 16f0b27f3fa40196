"""`fab check`: whether all is there that deploymachine needs, and what mends what is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from deploymachine.tasks._deployment import directory
from deploymachine.tasks._table import print_json
from deploymachine.tasks._task import task

if TYPE_CHECKING:
    from deploymachine.check.lines import Line

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@task(help={"json": "as JSON"})
def check(_: Context, json: bool = False) -> None:
    """Look whether everything is as deploymachine needs it, here, in the cloud and on the servers: `fab check`.

    A line each: ok, warn or fail, with the command or edit that mends it. Exit code 1 if one failed, else 0. Works
    before anything is booted, and changes nothing.
    """
    from deploymachine.check.doctor import examine

    lines: list[Line] = []
    for line in examine(directory()):
        lines.append(line)
        if not json:
            _print(line)
    if json:
        print_json([vars(line) for line in lines])
    else:
        print(_summary(lines))
    if any(line.grade == "fail" for line in lines):
        raise Exit(code=1)


def _print(line: Line) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(Text(f"{line.grade:<5}", COLOURS[line.grade]).append(f"{line.area:<13} {line.text}", style="default"))
    if line.do:
        console.print(f"     {'do':<13} {line.do}")


def _summary(lines: Sequence[Line]) -> str:
    counted = [f"{sum(line.grade == grade for line in lines)} {grade}" for grade in COLOURS]
    return ", ".join(counted)
