"""Servers to boot in, where each is to stand out: its availability zone, and the group that keeps its type apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from deploymachine.cloud import describe
from deploymachine.cloud.lookup import suggestion
from deploymachine.cloud.specs import BootSpec
from deploymachine.cloud.words import explained, status_of, words
from deploymachine.errors import CloudError
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server as RawServer
    from openstack.compute.v2.server_group import ServerGroup
    from openstack.connection import Connection

POLICIES = {"soft": "soft-anti-affinity", "hard": "anti-affinity"}
NOT_OFFERED = (400, 403, 404, 501)  # how clouds say that they have no such thing


def zones(
    connection: Connection, settings: Settings, raws: Iterable[RawServer], specs: Sequence[BootSpec]
) -> dict[str, str | None]:
    """Server name -> availability zone; None: the cloud chooses. Raises CloudError for a zone that is not there.

    Each server goes where the fewest of its type are, then where the fewest of the deployment are.
    """
    if not specs:
        return {}
    offered = _offered_zones(connection)
    for wanted in (*settings.OPENSTACK_ZONES, *(spec.zone for spec in specs if spec.zone)):
        _check_zone(wanted, offered)
    return spread(settings.OPENSTACK_ZONES or offered, raws, specs, chosen=bool(settings.OPENSTACK_ZONES))


def spread(
    usable: Sequence[str], raws: Iterable[RawServer], specs: Iterable[BootSpec], *, chosen: bool = False
) -> dict[str, str | None]:
    """Deal the servers out to the zones; a single zone is not named unless it was `chosen`. Pure."""
    there = [(raw.metadata.get(describe.TYPE, ""), raw.availability_zone or "") for raw in raws]
    of_type, of_all = Counter(there), Counter(zone for _, zone in there)
    found: dict[str, str | None] = {}
    for spec in specs:
        if spec.zone is None and len(usable) < 2 and not chosen:
            found[spec.name] = None
            continue
        zone = spec.zone or min(usable, key=lambda one: (of_type[spec.type, one], of_all[one], usable.index(one)))
        found[spec.name] = zone
        of_type[spec.type, zone] += 1
        of_all[zone] += 1
    return found


def _offered_zones(connection: Connection) -> list[str]:
    with explained("The availability zones can't be listed"):
        try:
            every = list(connection.compute.availability_zones())
        except Exception as error:
            if status_of(error) in NOT_OFFERED:
                return []
            raise
    return sorted(zone.name for zone in every if (zone.state or {}).get("available", True))


def _check_zone(wanted: str, offered: Sequence[str]) -> None:
    zone = wanted.partition(":")[0]  # an administrator may name a host as well: "nova:compute1"
    if zone not in offered:
        raise CloudError(
            f"There is no availability zone {zone!r}{suggestion(zone, offered)}",
            why=f"the cloud has: {', '.join(offered) or 'none'}",
            hint="OPENSTACK_ZONES or a server's 'zone' in settings.py names it (or --zone)",
        )


def group_name(settings: Settings, kind: str) -> str:
    """What the server group of a type is called."""
    return f"deploymachine-{settings.DEPLOYMENT}-{kind}"


def server_groups(
    connection: Connection,
    settings: Settings,
    raws: Iterable[RawServer],
    specs: Sequence[BootSpec],
    warnings: list[str],
) -> dict[str, str]:
    """Server name -> id of the group that keeps it on another host than its type's others; made where it is missing.

    Only a type with more than one server has one. A cloud that has none, or no room in them, is told in `warnings`.
    """
    policy, crowd = settings.OPENSTACK_ANTI_AFFINITY, _types_with_several(settings, raws, specs)
    wanted = [spec for spec in specs if spec.type in crowd]
    if policy is None or not wanted:
        return {}
    with explained("The server groups can't be made"):
        try:
            there = {str(one.name): one for one in connection.compute.server_groups()}
            found = {
                kind: there.get(group_name(settings, kind)) or _make(connection, settings, kind)
                for kind in sorted({spec.type for spec in wanted})
            }
            room = _room(connection)
        except Exception as error:
            if status_of(error) not in NOT_OFFERED:
                raise
            warnings.append(f"servers of one type may share a host: the cloud makes no server group ({words(error)})")
            return {}
    return _with_room(wanted, found, room, warnings)


def remove_server_groups(connection: Connection, settings: Settings, keep_kinds: Iterable[str] = ()) -> None:
    """Delete the deployment's server groups, those of `keep_kinds` apart. Raises CloudError."""
    from deploymachine import servertypes

    doomed = {group_name(settings, kind) for kind in servertypes.names() if kind not in {*keep_kinds}}
    with explained(f"The server groups of {settings.DEPLOYMENT} can't be deleted"):
        try:
            for group in list(connection.compute.server_groups()):
                if group.name in doomed:
                    connection.compute.delete_server_group(group.id)
        except Exception as error:
            if status_of(error) not in NOT_OFFERED:
                raise


def _types_with_several(settings: Settings, raws: Iterable[RawServer], specs: Iterable[BootSpec]) -> set[str]:
    named = {name: kind for name, (kind, _) in settings.booted().items()}
    named |= {raw.name: raw.metadata.get(describe.TYPE, "") for raw in raws} | {spec.name: spec.type for spec in specs}
    return {kind for kind, count in Counter(named.values()).items() if count > 1}


def _make(connection: Connection, settings: Settings, kind: str) -> ServerGroup:
    policy = POLICIES[settings.OPENSTACK_ANTI_AFFINITY or "soft"]
    return connection.compute.create_server_group(name=group_name(settings, kind), policy=policy)


def _room(connection: Connection) -> int:
    """How many servers one group may have; clouds mostly say 10."""
    most = connection.compute.get_limits().absolute.server_group_members
    return 1_000_000 if most is None or most < 0 else int(most)


def _with_room(
    wanted: Iterable[BootSpec], groups: Mapping[str, ServerGroup], room: int, warnings: list[str]
) -> dict[str, str]:
    members = Counter({kind: len(group.member_ids or ()) for kind, group in groups.items()})
    found: dict[str, str] = {}
    left_out: list[str] = []
    for spec in wanted:
        members[spec.type] += 1
        if members[spec.type] > room:
            left_out.append(spec.name)
        else:
            found[spec.name] = str(groups[spec.type].id)
    if left_out:
        warnings.append(f"{', '.join(left_out)} may share a host with others: a server group has room for {room}")
    return found
