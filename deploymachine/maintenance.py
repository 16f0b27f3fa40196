"""A site and what its visitors are to be told in; its loadbalancers answer 503 with that, or the site again, out."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from deploymachine.converge import Result
from deploymachine.cook import cook
from deploymachine.errors import UsageError
from deploymachine.inventory import Server
from deploymachine.logs import known_site
from deploymachine.report import Report
from deploymachine.servertypes import Deployment

LONGEST = 2000  # characters
RETRY_AFTER = 120  # seconds
Notice = dict[str, Any]


def notice(message: str = "", allow: Sequence[str] = (), retry_after: int = RETRY_AFTER) -> Notice:
    """What to tell visitors, whom to let in all the same, and when to ask again (seconds). Raises UsageError."""
    if len(message) > LONGEST:
        raise UsageError(f"--message has {len(message)} characters", why=f"{LONGEST} are the most that is shown")
    if any(not char.isprintable() and char != "\n" for char in message):
        raise UsageError("--message holds a character that nobody can read", hint="text and line breaks, any language")
    if not 1 <= retry_after <= 7 * 86_400:
        raise UsageError(f"--retry-after {retry_after} can't be meant", why="it is seconds, a week at most")
    addresses = sorted({_network(one.strip()) for one in allow if one.strip()})
    return {"message": message, "allow": addresses, "retry_after": retry_after}


def switch(servers: Sequence[Server], site: str, told: Notice | None, here: Deployment, report: Report) -> list[Result]:
    """Into maintenance on these loadbalancers, `told` being what `notice` made; None: out of it. Raises UsageError."""
    state = {"maintenance": told is not None, "notice": told or {}}
    switched = {"nginx.switch": {known_site(site, here): state}}
    return cook(servers, here, report, phase="maintenance", recipes=("nginx",), attributes=switched)


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise UsageError(
            f"--allow-ip {text}: that is no address", hint="addresses or networks: --allow-ip 192.0.2.7,198.51.100.0/24"
        ) from None
