"""A cook that ended in, what is known of it written down for whoever asks how the server is."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import Any, Dict, Mapping

from kokki.paths import private_directory, state_path, write_atomically

FILE = "last-cook.json"


def remember(request: Mapping[str, Any], state: str, totals: Mapping[str, int], bundle: str) -> None:
    """Write down how a cook of a whole run list ended; of dry runs and of single recipes nothing.

    time (UTC), state ("ok" or "failed"), totals; good: {time, fingerprint, bundle} of the last one that went well.
    """
    if "fingerprint" not in request or request.get("dry_run"):
        return
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    good = {"time": now, "fingerprint": request["fingerprint"], "bundle": bundle}
    told = {"time": now, "state": state, "totals": dict(totals), "good": good if state == "ok" else _good()}
    path = state_path(FILE)
    with suppress(OSError):  # that nobody can be told is no reason for a run to fail
        private_directory(os.path.dirname(path))
        write_atomically(path, json.dumps(told).encode())


def _good() -> Any:
    try:
        with open(state_path(FILE), encoding="utf-8") as file:
            known: Dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return None
    return known.get("good")
