"""Names of servers in, what else in the cloud is theirs out: what goes when they go, what stays, and its release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deploymachine.cloud import describe, floating
from deploymachine.cloud.each import Clock
from deploymachine.cloud.words import explained, status_of
from deploymachine.errors import CloudError
from deploymachine.hostkeys import pinned_names
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.block_storage.v2.volume import Volume as OldVolume
    from openstack.block_storage.v3.volume import Volume as NewVolume
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection
    from openstack.network.v2.floating_ip import FloatingIP
    from openstack.network.v2.port import Port

    Volume = OldVolume | NewVolume

SERVER = "deploymachine_server"  # in a volume's metadata: the server it was made for
POLL = 0.7  # seconds


@dataclass(frozen=True)
class Thing:
    """One resource of the cloud. kind: "address", "port" or "volume". note: a word on it for people.

    kept: ours, but made to outlive its server.
    """

    kind: str
    id: str
    name: str
    note: str = ""
    kept: bool = False


@dataclass(frozen=True)
class Belongings:
    """What goes with a server, and what was attached to it by others and stays."""

    goes: tuple[Thing, ...] = ()
    stays: tuple[Thing, ...] = ()


@dataclass(frozen=True)
class Survey:
    """Everything in the project that may belong to somebody: read once, asked for each server."""

    settings: Settings
    ips: Sequence[FloatingIP] = field(repr=False)
    ports: Sequence[Port] = field(repr=False)
    volumes: Sequence[Volume] = field(repr=False)

    def of(self, name: str, raws: Iterable[RawServer] = ()) -> Belongings:
        """What belongs to the server `name`, which the cloud knows as `raws` (none where it is gone already)."""
        raws = list(raws)
        mark = floating.owner_mark(self.settings.DEPLOYMENT, name)
        ids = {raw.id for raw in raws}
        at = {port.id for port in self.ports if port.device_id in ids}
        ips = [(ip, ip.description == mark) for ip in self.ips if ip.description == mark or ip.port_id in at]
        ports = [(port, True) for port in self.ports if port.description == mark]
        things = [
            *((_address(ip), ours) for ip, ours in ips),
            *((Thing("port", port.id, port.name or port.id), ours) for port, ours in ports),
            *self._volumes(name, raws),
        ]
        return Belongings(tuple(t for t, goes in things if goes), tuple(t for t, goes in things if not goes))

    def _volumes(self, name: str, raws: Iterable[RawServer]) -> Iterable[tuple[Thing, bool]]:
        attached = {one["id"]: bool(one.get("delete_on_termination")) for raw in raws for one in _attached(raw)}
        known = {volume.id: volume for volume in self.volumes}
        for volume in self.volumes:
            made_for_it = is_volume_of(volume, self.settings, name)
            if volume.id in attached or made_for_it:
                goes = attached.get(volume.id, False) or made_for_it
                yield _volume(volume), goes and not is_kept(volume)
        for volume_id, goes in attached.items():
            if volume_id not in known:  # the cloud tells of the attachment, its block storage does not answer
                yield Thing("volume", volume_id, volume_id), goes


def survey(connection: Connection, settings: Settings) -> Survey:
    """Read the project's addresses, ports and volumes. Raises CloudError."""
    with explained("What the servers own can't be listed"):
        ips, ports = list(connection.network.ips()), list(connection.network.ports())
        return Survey(settings, ips, ports, volumes(connection))


def volumes(connection: Connection) -> list[Volume]:
    """The project's volumes; none on a cloud without block storage."""
    if not connection.endpoint_for("block-storage"):
        return []
    return list(connection.block_storage.volumes())


def is_volume_of(volume: Volume, settings: Settings, name: str) -> bool:
    """Whether deploymachine made the volume for that server of this deployment."""
    marks: Mapping[str, str] = volume.metadata or {}
    return marks.get(describe.DEPLOYMENT) == settings.DEPLOYMENT and marks.get(SERVER) == name


def is_kept(volume: Volume) -> bool:
    """Whether the volume outlives its server, and comes back when one of its name is booted."""
    return (volume.metadata or {}).get(describe.KEEP) == "yes"


def left_over(found: Survey, settings: Settings, name: str) -> bool:
    """Whether a server that is gone left something behind: here or in the cloud."""
    return name in pinned_names(settings.directory) or bool(found.of(name).goes)


def release(connection: Connection, settings: Settings, name: str, clock: Clock) -> None:
    """Give back what belonged to the server `name`, which is gone. Raises CloudError; a repeat goes on from there."""
    with explained(f"What {name} owned can't be given back"):
        for thing in survey(connection, settings).of(name).goes:
            if thing.kind == "address":
                connection.network.delete_ip(thing.id)
            elif thing.kind == "port":
                connection.network.delete_port(thing.id)
            else:
                _delete_volume(connection, thing, clock)


def _delete_volume(connection: Connection, thing: Thing, clock: Clock) -> None:
    """Delete the volume as soon as the cloud has taken it from the server, and wait until it is gone."""
    while (volume := _volume_now(connection, thing.id)) is not None:
        if volume.status in ("available", "error", "error_deleting"):
            connection.block_storage.delete_volume(volume.id)
        if clock.expired():
            raise CloudError(
                f"The volume {thing.name} does not go away",
                where=thing.id,
                why=f"it is {volume.status}",
                hint="`fab openstack_leaks --delete` removes it later",
            )
        clock.sleep(POLL)


def _volume_now(connection: Connection, volume_id: str) -> Volume | None:
    try:
        return connection.block_storage.get_volume(volume_id)
    except Exception as error:
        if status_of(error) == 404:
            return None
        raise


def _attached(raw: RawServer) -> list[dict[str, Any]]:
    return list(raw.attached_volumes or ())


def _address(ip: FloatingIP) -> Thing:
    return Thing("address", ip.id, str(ip.floating_ip_address))


def _volume(volume: Volume) -> Thing:
    kept = is_kept(volume)
    note = f"{volume.size} GB" + (", kept for the next server of that name" if kept else "")
    return Thing("volume", volume.id, volume.name or volume.id, note, kept)
