"""Servers' host keys, here and in the cloud's metadata: pinned from there, and told to it when they change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from deploymachine import adminkeys
from deploymachine.cloud import describe
from deploymachine.cloud.words import explained
from deploymachine.hostkeys import HostKeys
from deploymachine.inventory import Server
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.connection import Connection


def pin_missing(settings: Settings, servers: Iterable[Server]) -> list[str]:
    """Pin the key the cloud holds for each server, on both of its ports, where none is pinned for it at its address.

    What is pinned here stays, whatever the metadata says: it may be newer, and a key that changed has to be looked at
    by a person. Returns warnings.
    """
    pinned, warnings = HostKeys(settings), []
    for server in servers:
        if not adminkeys.is_key(server.host_key):
            continue  # metadata is only text, and everybody in the project can write it
        for port in (22, settings.SSH_PORT):
            if server.address and pinned.get(server.address, port, server.name) is None:
                warnings += pinned.pin(server.name, server.address, port, server.host_key)
    return warnings


def publish(connection: Connection, settings: Settings, servers: Iterable[Server]) -> None:
    """Tell the cloud of the keys that are pinned here for the provisioned port, where it holds others.

    Raises CloudError.
    """
    pinned = HostKeys(settings)
    for server in servers:
        key = pinned.get(server.address, settings.SSH_PORT, server.name) if server.address else None
        if key is not None and key != server.host_key:
            with explained(f"The host key of {server.name} can't be written into its metadata", server.id):
                connection.compute.set_server_metadata(server.id, **{describe.HOST_KEY: key})
