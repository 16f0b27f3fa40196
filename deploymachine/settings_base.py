"""What settings.py says of every server alike in, checked values out: when it may reboot, whom it never bans."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import BeforeValidator

DAY = 24 * 60  # minutes
WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def _window(value: Any) -> Any:
    found = WINDOW.fullmatch(value) if isinstance(value, str) else None
    if value is not None and (found is None or found[1] + found[2] == found[3] + found[4]):
        raise ValueError('is when servers may reboot, such as "03:00-05:00", or None')
    return value


def _network(value: Any) -> Any:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError('is an address or a network, such as "192.0.2.7" or "192.0.2.0/24"') from None


# "03:00-05:00", in the servers' time; it may go past midnight.
Window = Annotated[str | None, BeforeValidator(_window)]
Network = Annotated[str, BeforeValidator(_network)]


def moment_in(window: str, position: int, count: int) -> str:
    """When the server at `position` (from 0) of `count` may reboot: no two at once, as "03:20"."""
    begin, end = (int(time[:2]) * 60 + int(time[3:]) for time in window.split("-"))
    minute = (begin + (end - begin) % DAY * position // count) % DAY
    return f"{minute // 60:02d}:{minute % 60:02d}"
