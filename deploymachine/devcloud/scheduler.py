"""Servers, a group's policy and a zone go in; the pretended host that takes one more server comes out, or none.

One machine carries all of devcloud, but clients spread servers over hosts and zones; so there are some to spread over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from deploymachine.devcloud.assets import ServerGroup
from deploymachine.devcloud.state import Flavor, Server

ZONES = ("nova", "nova-2", "nova-3")
DEFAULT_ZONE = ZONES[0]
ROOM = (64, 262144)  # vCPUs and MB of each: what asks for more than a whole host finds none
HOSTS = {f"{zone}-host{number}": zone for zone in ZONES for number in (1, 2, 3)}
POLICIES = ("anti-affinity", "affinity", "soft-anti-affinity", "soft-affinity")


def choose(
    servers: Iterable[Server], flavor: Flavor, group: ServerGroup | None = None, zone: str | None = None
) -> str | None:
    """The least loaded host that the policy allows."""
    if not fits(flavor):
        return None
    hosts = [host for host, its_zone in HOSTS.items() if its_zone == (zone or DEFAULT_ZONE)]
    placed = [server for server in servers if server.host]
    load = Counter(server.host for server in placed)
    fellows = Counter(server.host for server in placed if group and member(server, group))
    policy = group.policy if group else ""
    if policy == "anti-affinity" and group:
        hosts = [host for host in hosts if fellows[host] < group.per_host]
    elif policy == "affinity" and fellows:
        hosts = [host for host in hosts if host in fellows]
    sign = {"soft-anti-affinity": 1, "soft-affinity": -1}.get(policy, 0)
    return min(hosts, key=lambda host: (sign * fellows[host], load[host]), default=None)


def fits(flavor: Flavor) -> bool:
    """On an empty host."""
    return flavor.vcpus <= ROOM[0] and flavor.ram <= ROOM[1]


def member(server: Server, group: ServerGroup) -> bool:
    return server.hints.get("group") == group.id


def zone_of(server: Server) -> str:
    """ "" for a server that no host has taken."""
    return HOSTS.get(server.host, "")
