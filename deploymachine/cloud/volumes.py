"""A server's data volumes: made once, marked as its own, attached; those that are kept come back with its next life."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from deploymachine.cloud import describe
from deploymachine.cloud.each import Clock
from deploymachine.cloud.owned import SERVER
from deploymachine.cloud.words import explained, passing, status_of
from deploymachine.errors import CloudError
from deploymachine.settings import Settings
from deploymachine.settings_servers import DataVolume

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection

    Volume = Any  # of either version of the block storage API

NAME = "deploymachine_volume"  # in a volume's metadata: which of the server's volumes it is
POLL = 1.0  # seconds
HINT_NO_STORAGE = "take `volume` and `data_volumes` out of settings.py (and --volume off the command line)"


def check_offered(connection: Connection) -> None:
    """Raises CloudError where the cloud has no block storage."""
    with explained("The cloud's services can't be told"):
        offered = connection.endpoint_for("block-storage")
    if not offered:
        raise CloudError("The cloud has no block storage", why="its catalogue names none", hint=HINT_NO_STORAGE)


def attach(
    connection: Connection, settings: Settings, raw: RawServer, wanted: Sequence[DataVolume], clock: Clock
) -> list[str]:
    """Have all the volumes at the server: those that are there, made and attached where they are not.

    Returns warnings. Raises CloudError; interrupted anywhere and repeated it ends the same.
    """
    if not wanted:
        return []
    with explained(f"The volumes of {raw.name} can't be attached"):
        there = of_server(connection, settings, raw.name)
        warnings = []
        for one in wanted:
            volume = there.get(one.name) or _made(connection, settings, raw, one)
            volume = _settled(connection, volume, clock)
            _attach_one(connection, raw, volume, one, clock)
            if volume.size and volume.size < one.size:
                warnings.append(f"{volume.name} has {volume.size} GB, not {one.size}: volumes are not grown")
        return warnings


def of_server(connection: Connection, settings: Settings, name: str) -> dict[str, Volume]:
    """The data volumes made for that server of this deployment by name, the oldest of each. Raises CloudError."""
    with explained("The volumes can't be listed"):
        every: Iterable[Volume] = connection.block_storage.volumes()
        marks = {describe.DEPLOYMENT: settings.DEPLOYMENT, SERVER: name}
        mine = [one for one in every if marks.items() <= (one.metadata or {}).items() and NAME in one.metadata]
    return {one.metadata[NAME]: one for one in sorted(mine, key=lambda one: str(one.created_at), reverse=True)}


def _made(connection: Connection, settings: Settings, raw: RawServer, wanted: DataVolume) -> Volume:
    asked: dict[str, Any] = {
        "name": f"{settings.DEPLOYMENT}-{raw.name}-{wanted.name}",
        "size": wanted.size,
        "metadata": {
            describe.DEPLOYMENT: settings.DEPLOYMENT,
            SERVER: raw.name,
            NAME: wanted.name,
            describe.KEEP: "yes" if wanted.keep else "no",
        },
    }
    if wanted.type is not None:
        asked["volume_type"] = wanted.type
    if (zone := raw.availability_zone) and zone in _zones(connection):
        asked["availability_zone"] = zone
    try:
        return connection.block_storage.create_volume(**asked)
    except Exception as error:
        if not passing(error):
            raise
        found = of_server(connection, settings, raw.name).get(wanted.name)  # the answer may have been lost
        if found is None:
            raise
        return found


def _zones(connection: Connection) -> set[str]:
    """Those that the block storage has, too: elsewhere it must not be told one."""
    try:
        storage: Any = connection.block_storage  # of either version
        return {str(zone.name) for zone in storage.availability_zones()}
    except Exception as error:
        if status_of(error) is None:
            raise
        return set()


def _settled(connection: Connection, volume: Volume, clock: Clock) -> Volume:
    """The volume once it is of use. Raises CloudError where it ended in an error."""
    while volume.status not in ("available", "in-use"):
        if str(volume.status).startswith("error"):
            raise CloudError(
                f"The volume {volume.name} ended in {volume.status}",
                where=volume.id,
                hint=f"if nothing is lost with it: `openstack volume delete {volume.id}`, then run the same again",
            )
        if clock.expired():
            raise CloudError(f"The volume {volume.name} is still {volume.status}", where=volume.id)
        clock.sleep(POLL)
        volume = connection.block_storage.get_volume(volume.id)
    return volume


def _attach_one(connection: Connection, raw: RawServer, volume: Volume, wanted: DataVolume, clock: Clock) -> None:
    holders = {str(one.get("server_id")) for one in volume.attachments or ()}
    if raw.id in holders:
        return
    if holders:
        raise CloudError(
            f"The volume {volume.name} is attached to another server",
            where=volume.id,
            why=f"to {', '.join(sorted(holders))}",
            hint=f"`openstack server remove volume {min(holders)} {volume.id}`, where nobody needs it there",
        )
    asked = {} if wanted.keep or not _may_go_with_server(connection) else {"delete_on_termination": True}
    connection.compute.create_volume_attachment(raw.id, volume.id, **asked)
    while not clock.expired():
        if connection.block_storage.get_volume(volume.id).status == "in-use":
            return
        clock.sleep(POLL)
    raise CloudError(f"The volume {volume.name} does not get attached", where=volume.id)


def _may_go_with_server(connection: Connection) -> bool:
    from openstack.utils import supports_microversion

    return bool(supports_microversion(connection.compute, "2.79"))
