"""Floating IPs: a server in, its public address out; an address is ours when its description says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploymachine.cloud.words import explained
from deploymachine.errors import CloudError

if TYPE_CHECKING:
    from openstack.connection import Connection
    from openstack.network.v2.port import Port


def owner_mark(deployment: str, server_name: str) -> str:
    """The description of an address that deploymachine made for a server."""
    return f"deploymachine:{deployment}/{server_name}"


def ensure(connection: Connection, pool_id: str, network_id: str, server_id: str, mark: str) -> str:
    """The server's floating address: the one it has, else one left over with its mark, else a new one.

    Raises CloudError. Made and attached in one call, so that an interruption leaves no address behind that nobody uses.
    """
    with explained("The server gets no floating IP"):
        port = _port(connection, network_id, server_id)
        mine = [
            ip
            for ip in connection.network.ips(floating_network_id=pool_id)
            if port.id == ip.port_id or ip.description == mark
        ]
        attached = next((ip for ip in mine if ip.port_id == port.id), None)
        left_over = next((ip for ip in mine if ip.port_id is None), None)
        if attached is None and left_over is not None:
            attached = connection.network.update_ip(left_over, port_id=port.id)
        if attached is None:
            attached = connection.network.create_ip(floating_network_id=pool_id, port_id=port.id, description=mark)
        return str(attached.floating_ip_address)


def release(connection: Connection, mark: str) -> None:
    """Give back the addresses with that mark. Raises CloudError."""
    with explained("The floating IP can't be released"):
        for ip in list(connection.network.ips(description=mark)):
            if ip.description == mark:  # a cloud that ignores the filter lists all of them
                connection.network.delete_ip(ip.id)


def _port(connection: Connection, network_id: str, server_id: str) -> Port:
    ports = list(connection.network.ports(device_id=server_id))
    port = next((port for port in ports if port.network_id == network_id), next(iter(ports), None))
    if port is None:
        raise CloudError(
            "The server has no port on any network", why="a floating IP needs one", hint="kill and boot it again"
        )
    return port
