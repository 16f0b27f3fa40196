"""What was released here, by whom and how it ended, in and out: one JSON line each in a site's deploys.log."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping

from release import layout
from release.steps import Steps
from release.values import Site

FILE = "deploys.log"
LAST = 200_000  # bytes that are looked at
WORDS = ("action", "state", "release", "sha", "ref", "from", "by", "why", "message")


def entries(site: Site, count: int, steps: Steps) -> Dict[str, Any]:
    """The last `count` lines, oldest first."""
    with steps.step("audit"):
        try:
            with (site.root / FILE).open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - LAST))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            text = ""
        found = [entry for line in text.splitlines() if (entry := _parsed(line)) is not None]
    return {"entries": found[-count:]}


def ended(site: Site, told: Mapping[str, Any]) -> None:
    """Write a line on a run that did not come as far as a switch, which writes its own."""
    layout.log(site, {key: str(told[key]) for key in WORDS if told.get(key)})


def _parsed(line: str) -> Any:
    try:
        entry = json.loads(line)
    except ValueError:
        return None  # the first line may be cut, the last one half written
    return entry if isinstance(entry, dict) else None
