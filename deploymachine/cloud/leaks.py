"""A deployment in, what bears its mark in the cloud and nobody uses out, and its removal; nothing of others is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deploymachine import servertypes
from deploymachine.cloud import describe, floating, groups, kill, owned
from deploymachine.cloud.describe import BAKE
from deploymachine.cloud.each import Clock, on_each, raise_failures
from deploymachine.cloud.placement import NOT_OFFERED, group_name
from deploymachine.cloud.retype import is_aside
from deploymachine.cloud.words import explained, status_of
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection
    from openstack.image.v2.image import Image
    from openstack.network.v2.port import Port

BAKING = "deploymachine_baking"  # in the metadata of a server that is there for a bake only: the deployment
RAW, READY = "raw", "ready"  # what the property BAKE of an image says
KINDS = ("server", "address", "port", "volume", "image", "server group", "security group", "keypair")


@dataclass(frozen=True)
class Leak:
    """One thing nobody uses. kind: one of KINDS. data: it was kept on purpose, for what is on it."""

    kind: str
    id: str
    name: str
    why: str
    data: bool = False


def find(connection: Connection, settings: Settings, *, baked: bool = False) -> list[Leak]:
    """Everything of this deployment that nobody uses, by kind. baked: the images that the next boot would use as well.

    Raises CloudError.
    """
    with explained("What nobody uses can't be listed"):
        every = list(connection.compute.servers())
        looks: Iterable[Iterable[Leak]] = (
            _servers(settings, every),
            _addresses(connection, settings),
            _ports(connection, settings, {raw.id for raw in every}),
            _volumes(connection, settings),
            _images(connection, settings, baked),
            _server_groups(connection, settings),
            _security_groups(connection, settings),
            _keypairs(connection, settings, every),
        )
        return [leak for look in looks for leak in look]


def of_bakes(connection: Connection, settings: Settings) -> list[Leak]:
    """The servers and images among them. Raises CloudError."""
    with explained("What bakes left can't be listed"):
        return [*_servers(settings, connection.compute.servers()), *_images(connection, settings, baked=False)]


def delete(connection: Connection, settings: Settings, leaks: Sequence[Leak]) -> None:
    """Delete them, each kind after those that may hold on to it. Raises CloudError that tells each failure."""
    for kind in KINDS:
        ours = {leak.id: leak for leak in leaks if leak.kind == kind}

        def remove(leak_id: str, clock: Clock, kind: str = kind, ours: dict[str, Leak] = ours) -> None:
            with explained(f"The {kind} {ours[leak_id].name} can't be deleted", leak_id):
                _delete(connection, ours[leak_id], clock)

        outcomes = on_each(list(ours), remove, settings.OPENSTACK_BOOT_TIMEOUT)
        raise_failures(f"({kind}) could not be deleted", len(ours), outcomes.errors)


def _delete(connection: Connection, leak: Leak, clock: Clock) -> None:
    network, compute = connection.network, connection.compute
    calls: dict[str, Callable[[str], Any]] = {
        "address": network.delete_ip,
        "port": network.delete_port,
        "volume": lambda volume_id: connection.block_storage.delete_volume(volume_id),
        "image": lambda image_id: connection.image.delete_image(image_id),
        "server group": compute.delete_server_group,
        "security group": network.delete_security_group,
        "keypair": compute.delete_keypair,
    }
    if leak.kind == "server":
        there = [raw for raw in compute.servers() if raw.id == leak.id]
        kill.delete_and_wait(connection, there, clock)
    else:
        calls[leak.kind](leak.id)


def _servers(settings: Settings, every: Iterable[RawServer]) -> Iterator[Leak]:
    for raw in every:
        if (raw.metadata or {}).get(BAKING) == settings.DEPLOYMENT:
            yield Leak("server", raw.id, raw.name, "made for a bake that did not end")
        elif is_aside(raw, settings):
            yield Leak("server", raw.id, raw.name, "set aside by a split, a merge or a move", data=True)


def _addresses(connection: Connection, settings: Settings) -> Iterator[Leak]:
    mine = floating.owner_mark(settings.DEPLOYMENT, "")
    for ip in connection.network.ips():
        if str(ip.description or "").startswith(mine) and ip.port_id is None:
            owner = str(ip.description).removeprefix(mine)
            yield Leak("address", ip.id, str(ip.floating_ip_address), f"was {owner}'s, leads nowhere")


def _ports(connection: Connection, settings: Settings, server_ids: set[str]) -> Iterator[Leak]:
    mine = floating.owner_mark(settings.DEPLOYMENT, "")
    our_groups = {group.id for group in groups.find(connection, settings).values()}
    for port in connection.network.ports():
        marked = str(port.description or "").startswith(mine)
        # Ports that the cloud made for a server bear no mark, but they are in our groups.
        forgotten = bool(port.device_id) and not our_groups.isdisjoint(port.security_group_ids or ())
        if (marked or forgotten) and port.device_id not in server_ids and not _is_the_networks(port):
            yield Leak("port", port.id, port.name or _addresses_of(port), "its server is gone")


def _is_the_networks(port: Port) -> bool:
    return str(port.device_owner or "").startswith("network:")


def _addresses_of(port: Port) -> str:
    return ", ".join(str(one.get("ip_address")) for one in port.fixed_ips or ()) or str(port.id)


def _volumes(connection: Connection, settings: Settings) -> Iterator[Leak]:
    for volume in owned.volumes(connection):
        marks = volume.metadata or {}
        if marks.get(describe.DEPLOYMENT) == settings.DEPLOYMENT and not volume.attachments:
            kept = owned.is_kept(volume)
            why = f"{volume.size} GB, was {marks.get(owned.SERVER, 'nobody')}'s" + (", kept for it" if kept else "")
            yield Leak("volume", volume.id, volume.name or volume.id, why, kept)


def _images(connection: Connection, settings: Settings, baked: bool) -> Iterator[Leak]:
    newest: set[str] = set()
    for image in ours_newest_first(connection, settings):
        kind = str(image.properties.get(describe.TYPE))
        if image.properties.get(BAKE) != READY:
            yield Leak("image", image.id, str(image.name), "a snapshot of a bake that did not end")
        elif image.status != "active":
            yield Leak("image", image.id, str(image.name), f"baked, but {image.status}")
        elif kind in newest:
            yield Leak("image", image.id, str(image.name), "baked, and a newer one is there")
        elif baked:
            yield Leak("image", image.id, str(image.name), "baked")
        else:
            newest.add(kind)


def ours_newest_first(connection: Connection, settings: Settings) -> list[Image]:
    """The images that bear the deployment's mark and the mark of a bake."""
    every: Iterable[Any] = connection.image.images(**{describe.DEPLOYMENT: settings.DEPLOYMENT})
    marked = ((image, image.properties or {}) for image in every)
    ours = [image for image, has in marked if has.get(describe.DEPLOYMENT) == settings.DEPLOYMENT and BAKE in has]
    return sorted(ours, key=lambda image: (str(image.created_at), image.id), reverse=True)


def _server_groups(connection: Connection, settings: Settings) -> Iterator[Leak]:
    ours = {group_name(settings, kind) for kind in servertypes.names()}
    for group in _offered(connection.compute.server_groups):
        if group.name in ours and not group.member_ids:
            yield Leak("server group", group.id, group.name, "no server is in it")


def _security_groups(connection: Connection, settings: Settings) -> Iterator[Leak]:
    used = {group for port in connection.network.ports() for group in port.security_group_ids or ()}
    for group in groups.find(connection, settings).values():
        if group.id not in used:
            yield Leak("security group", group.id, str(group.name), "no server is in it")


def _keypairs(connection: Connection, settings: Settings, every: Iterable[RawServer]) -> Iterator[Leak]:
    used = {raw.key_name for raw in every}
    for pair in _offered(connection.compute.keypairs):
        if pair.name == groups.name(settings) and pair.name not in used:
            yield Leak("keypair", pair.name, pair.name, "no server has it")


def _offered(listing: Callable[[], Iterable[Any]]) -> list[Any]:
    """What the cloud lists; nothing on one that has no such thing, or does not let this user see it."""
    try:
        return list(listing())
    except Exception as error:
        if status_of(error) not in NOT_OFFERED:
            raise
        return []
