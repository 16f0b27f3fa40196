"""The report of a task, and one line about the run in the deployment's history when it is over."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploymachine.tasks._deployment import settings

if TYPE_CHECKING:
    from deploymachine.report import Report


@contextmanager
def reported() -> Iterator[Report]:
    """Show what a task does, and add it to .deploymachine/history.jsonl, also where it fails."""
    from deploymachine.report import report

    shown = report()
    failed = True
    try:
        with shown:
            yield shown
        failed = False
    finally:
        _remember(settings().state / "history.jsonl", shown, failed)


def _remember(history: Path, shown: Report, failed: bool) -> None:
    entry: dict[str, Any] = {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": ["fab", *sys.argv[1:]],
        "servers": {row.server.name: {"state": row.state, "changes": row.changes} for row in shown.rows.values()},
        "changes": sum(row.changes for row in shown.rows.values()),
        "failed": failed,
        "seconds": round(shown.seconds, 2),
    }
    history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with history.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
