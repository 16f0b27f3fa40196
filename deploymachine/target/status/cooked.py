"""What the engine wrote down of the last cook of this server."""

from __future__ import annotations

import json
from typing import Any, Dict, Optional


def last() -> Optional[Dict[str, Any]]:
    """As kokki.lastcook has it; None where the server was never cooked, or not since that is written down."""
    from kokki.paths import state_path

    try:
        with open(state_path("last-cook.json"), encoding="utf-8") as file:
            found: Dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return None
    return found
