"""Rows or values in, an aligned table or JSON on standard output out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

WIDE = 250  # characters


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Whole lines where it is no terminal: who reads a pipe must not find names cut off."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)


def print_json(value: Any) -> None:
    """As JSON that people can read, too."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def written_age(seconds: float | None) -> str:
    """An age in its largest unit: 40 s, 5 min, 3 h, 12 d; '' where it is not known."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
