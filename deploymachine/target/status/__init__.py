"""How this server is: load, services, releases, databases, the last cook, in one answer. Changes nothing."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, Mapping

from status import cooked, database, machine, services, sites
from status.children import Children

Answer = Dict[str, Any]


def main(_request: Mapping[str, Any], emit: Callable[[Answer], None]) -> int:
    """Tell everything in the run-done event. Always 0: what could not be found out is told as well."""
    started = time.monotonic()
    # They work while files are read here.
    children = Children({**services.commands(), **database.commands()})
    told: Answer = {
        **machine.told(),
        "cooked": cooked.last(),
        "sites": sites.releases(),
        "certificates": sites.certificates(),
        "programs": services.programs(),
    }
    ended = children.ended()
    told["units"] = services.units(ended)
    told["database"] = database.told(ended)
    ms = round((time.monotonic() - started) * 1000, 1)
    emit({"event": "run-done", "state": "ok", "totals": {}, "ms": ms, "result": told})
    return 0
