"""Boot specs in, everything looked up that booting them takes out; nothing is made before all of it is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deploymachine import adminkeys
from deploymachine.cloud import floating, groups, lookup, placement, quota, volumes
from deploymachine.cloud.specs import BootSpec
from deploymachine.cloud.survey import Survey
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.flavor import Flavor
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection
    from openstack.image.v2.image import Image
    from openstack.network.v2.network import Network


@dataclass(frozen=True)
class Draft:
    """One server that may have to be made: what was asked for, as the cloud knows it."""

    spec: BootSpec
    image: Image
    flavor: Flavor
    zone: str | None
    server_group: str | None


@dataclass(frozen=True)
class Plan:
    """What one boot knows of the cloud. Empty where nothing has to be made.

    networks: server name -> those it is on; empty where it does not matter. group_ids: type -> its security groups.
    """

    drafts: Mapping[str, Draft] = field(default_factory=dict)
    networks: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    group_ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pool: Network | None = None
    admin_keys: tuple[str, ...] = ()


def make(connection: Connection, settings: Settings, found: Survey, warnings: list[str]) -> Plan:
    """Look everything up, check the quota, then make the groups. Raises CloudError, UsageError."""
    specs, new, going = list(found.specs.values()), found.new, found.going
    staying = [raw for raw in found.ours if raw.id not in {one.id for one in going}]
    admin_keys = adminkeys.read(settings) if new else ()
    drafts = _drafts(connection, settings, new, staying)
    pool = _pool(connection, settings)
    mattering = specs if pool is not None else new
    networks = lookup.networks(connection, [_network_names(spec, settings) for spec in mattering]) if mattering else []
    if any(spec.data_volumes or spec.volume for spec in specs):
        volumes.check_offered(connection)
    if new:
        quota.check(connection, _need(connection, settings, drafts, staying, going, pool))
    # Last, since these are the first things that are made: a misspelt name leaves nothing behind.
    group_ids = groups.keep(connection, settings, staying, {spec.type for spec in specs})
    apart = placement.server_groups(connection, settings, staying, new, warnings)
    drafts = [Draft(d.spec, d.image, d.flavor, d.zone, apart.get(d.spec.name)) for d in drafts]
    by_name = {draft.spec.name: draft for draft in drafts}
    return Plan(by_name, dict(zip((s.name for s in mattering), networks, strict=True)), group_ids, pool, admin_keys)


def _drafts(
    connection: Connection, settings: Settings, new: Sequence[BootSpec], staying: Sequence[RawServer]
) -> list[Draft]:
    if not new:
        return []
    flavors = lookup.flavors(connection, {spec.flavor for spec in new})
    images: dict[str, Image] = {}
    for wanted in (image_of(spec, settings) for spec in new):
        if str(wanted) not in images:
            images[str(wanted)] = lookup.image(connection, wanted)
    zones = placement.zones(connection, settings, staying, new)
    return [
        Draft(spec, images[str(image_of(spec, settings))], flavors[spec.flavor], zones[spec.name], None) for spec in new
    ]


def image_of(spec: BootSpec, settings: Settings) -> str | Mapping[str, str]:
    """What the server boots from, as the user wrote it."""
    return spec.image or settings.OPENSTACK_IMAGE


def networks_of(connection: Connection, settings: Settings, spec: BootSpec) -> tuple[Network, ...]:
    """The networks that one server is on. Raises CloudError."""
    return lookup.networks(connection, [_network_names(spec, settings)])[0]


def _network_names(spec: BootSpec, settings: Settings) -> tuple[str, ...]:
    return spec.networks or settings.OPENSTACK_NETWORK


def _pool(connection: Connection, settings: Settings) -> Network | None:
    wanted = settings.OPENSTACK_FLOATING_IP_POOL
    return lookup.floating_pool(connection, wanted) if wanted else None


def _need(
    connection: Connection,
    settings: Settings,
    drafts: Sequence[Draft],
    staying: Sequence[RawServer],
    going: Sequence[RawServer],
    pool: Network | None,
) -> quota.Need:
    """What is going to be asked for. Servers that may yet be revived count as there already."""
    there = {raw.name for raw in staying}
    making = [draft for draft in drafts if draft.spec.name not in there]
    free = floating.left_over(connection, str(pool.id), settings.DEPLOYMENT) if pool is not None and making else 0
    return quota.Need(
        flavors=[draft.flavor for draft in making],
        gone=[raw.flavor for raw in going],
        addresses=max(0, len(making) - free) if pool is not None else 0,
        volumes=[draft.spec.volume for draft in making if draft.spec.volume],
    )
