"""A port to open for a while in, a rule in the types' security groups out that says until when it counts.

The cloud knows no rule that ends by itself: the servers' own firewalls close the port in time, and whoever keeps the
groups next removes the rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from deploymachine.cloud import groups
from deploymachine.cloud.words import explained
from deploymachine.hostkeys import locked
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.connection import Connection

UNTIL = re.compile(re.escape(groups.MARK) + r"opened until (\S+)")


def add(
    connection: Connection,
    settings: Settings,
    kinds: Iterable[str],
    port: int,
    protocol: str,
    sources: Sequence[str],
    until: datetime,
) -> None:
    """Let `sources` (networks) in at the port of every server of these types. Raises CloudError."""
    rules = [_rule(port, protocol, source, until) for source in sources]
    with locked(settings.state / "groups.lock"), explained(f"The groups of {settings.DEPLOYMENT} can't be kept"):
        there = groups.find(connection, settings)
        for group in [there[kind] for kind in kinds if kind in there]:
            same = {groups.identity(rule) for rule in rules}
            for rule in group.security_group_rules or []:
                if groups.identity(rule) in same and UNTIL.match(str(rule.get("description") or "")):
                    connection.network.delete_security_group_rule(rule["id"])  # what comes says another time
            left = [r for r in group.security_group_rules or [] if not UNTIL.match(str(r.get("description") or ""))]
            known = {groups.identity(rule) for rule in left}
            for rule in rules:
                if groups.identity(rule) not in known:
                    connection.network.create_security_group_rule(security_group_id=group.id, **rule)


def counts_still(rule: Mapping[str, Any]) -> bool:
    """Whether it is such a rule, and its time is not over."""
    found = UNTIL.match(str(rule.get("description") or ""))
    try:
        return found is not None and datetime.fromisoformat(found[1]) > datetime.now(timezone.utc)
    except (TypeError, ValueError):
        return False


def _rule(port: int, protocol: str, source: str, until: datetime) -> dict[str, Any]:
    return {
        "direction": "ingress",
        "ethertype": "IPv6" if ":" in source else "IPv4",
        "protocol": protocol,
        "port_range_min": port,
        "port_range_max": port,
        "remote_ip_prefix": source,
        "description": f"{groups.MARK}opened until {until.isoformat(timespec='seconds')}",
    }
