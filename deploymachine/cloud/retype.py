"""Servers in, what the cloud notes of them changed: their type and its groups, or that they are set aside for a while.

A server that is set aside is of no deployment any more: nothing deploys to it, cooks it or counts it. It runs on, with
its disk and its addresses, until it is brought back, or deleted as something that nobody uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from deploymachine.cloud import describe, groups
from deploymachine.cloud.words import explained
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection

ASIDE = "deploymachine_aside"  # in the metadata of a server that is set aside: the deployment that it was of


def retype(connection: Connection, settings: Settings, raws: Sequence[RawServer], kinds: Mapping[str, str]) -> None:
    """Give the servers of the deployment that `kinds` names (name -> type) their type and its groups; repeatable.

    settings: with these types. raws: all servers of the deployment. Raises CloudError.
    """
    changed = [raw for raw in raws if raw.name in kinds]
    for raw in changed:
        raw.metadata = _noted(connection, raw, {describe.TYPE: kinds[raw.name]})
    ids = groups.keep(connection, settings, raws, kinds.values())
    others = {one for kind, every in ids.items() if kind != groups.COMMON for one in every}
    with explained(f"The groups of {settings.DEPLOYMENT} can't be kept"):
        for raw in changed:
            carried = ids.get(kinds[raw.name], ())
            groups.join(connection, str(raw.id), carried)
            groups.leave(connection, str(raw.id), others - {*carried})
    groups.remove(connection, settings, {raw.metadata.get(describe.TYPE, "") for raw in raws})


def set_aside(connection: Connection, settings: Settings, raws: Iterable[RawServer], names: Sequence[str]) -> None:
    """Have the servers be of no deployment for now; those that are not there are passed over. Raises CloudError."""
    for raw in raws:
        if raw.name in names:
            _noted(connection, raw, {ASIDE: settings.DEPLOYMENT, describe.DEPLOYMENT: ""})


def bring_back(connection: Connection, settings: Settings, names: Sequence[str]) -> None:
    """Have servers that were set aside be of the deployment again; those that are not there are passed over."""
    for raw in aside(connection, settings):
        if raw.name in names:
            _noted(connection, raw, {describe.DEPLOYMENT: settings.DEPLOYMENT, ASIDE: ""})


def aside(connection: Connection, settings: Settings) -> list[RawServer]:
    """The servers that were set aside. Raises CloudError."""
    with explained("The servers can't be listed"):
        return [raw for raw in connection.compute.servers() if is_aside(raw, settings)]


def is_aside(raw: RawServer, settings: Settings) -> bool:
    """Whether the server was of the deployment until it was set aside."""
    return bool((raw.metadata or {}).get(ASIDE) == settings.DEPLOYMENT)


def _noted(connection: Connection, raw: RawServer, notes: Mapping[str, str]) -> dict[str, str]:
    with explained(f"What the cloud notes of {raw.name} can't be changed", raw.id):
        if any((raw.metadata or {}).get(key, "") != value for key, value in notes.items()):
            connection.compute.set_server_metadata(raw.id, **notes)
    return {**(raw.metadata or {}), **notes}
