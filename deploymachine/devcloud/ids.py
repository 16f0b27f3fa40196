"""Names and the clock go in; ids and moments as OpenStack writes them come out."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone

NAMESPACE = uuid.UUID("8a0f9d2e-3c39-4e0c-9a49-3f6d3c1f5b11")  # so that built-in things keep their ids for ever


def builtin_id(*names: str) -> str:
    return str(uuid.uuid5(NAMESPACE, "/".join(names)))


def new_id() -> str:
    return str(uuid.uuid4())


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
