"""Floating IPs: a server in, its public address out; an address is ours when its description says so."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from deploymachine.cloud.words import explained
from deploymachine.errors import CloudError

if TYPE_CHECKING:
    from openstack.connection import Connection
    from openstack.network.v2.floating_ip import FloatingIP
    from openstack.network.v2.port import Port

_choosing = threading.Lock()  # servers that boot at the same time must not all take the same free address


def owner_mark(deployment: str, server_name: str) -> str:
    """The description of an address that deploymachine made for a server."""
    return f"deploymachine:{deployment}/{server_name}"


def ensure(
    connection: Connection, pool_id: str, network_id: str, server_id: str, mark: str, others: Iterable[str] = ()
) -> str:
    """The server's floating address: the one it has, else a free one of this deployment, else a new one.

    Free are those with its own mark, then those marked for a server of this deployment that is not among `others`, the
    names of the servers that are there or about to be. Raises CloudError. Made and attached in one call, so that an
    interruption leaves no address behind that nobody uses.
    """
    with explained("The server gets no floating IP"):
        port = _port(connection, network_id, server_id)
        with _choosing:
            every = list(connection.network.ips(floating_network_id=pool_id))
            if attached := next((ip for ip in every if ip.port_id == port.id), None):
                return str(attached.floating_ip_address)
            if free := _free(connection, every, mark, others):
                found = connection.network.update_ip(free, port_id=port.id, description=mark)
            else:
                found = connection.network.create_ip(floating_network_id=pool_id, port_id=port.id, description=mark)
        return str(found.floating_ip_address)


def left_over(connection: Connection, pool_id: str, deployment: str) -> int:
    """How many addresses of the deployment are free. Raises CloudError."""
    with explained("The floating IPs can't be listed"):
        every = connection.network.ips(floating_network_id=pool_id)
        return sum(ip.port_id is None and _is_of(ip, owner_mark(deployment, "")) for ip in every)


def release(connection: Connection, mark: str) -> None:
    """Give back the addresses with that mark. Raises CloudError."""
    with explained("The floating IP can't be released"):
        for ip in list(connection.network.ips(description=mark)):
            if ip.description == mark:  # a cloud that ignores the filter lists all of them
                connection.network.delete_ip(ip.id)


def _free(connection: Connection, every: Iterable[FloatingIP], mark: str, others: Iterable[str]) -> FloatingIP | None:
    prefix = mark.rpartition("/")[0] + "/"
    taken = {prefix + name for name in others}
    mine = connection.current_project_id  # an administrator is shown those of every project
    usable = [ip for ip in every if ip.port_id is None and mine in (None, ip.project_id or mine) and _is_of(ip, prefix)]
    own = [ip for ip in usable if ip.description == mark]
    return next(iter([*own, *(ip for ip in usable if ip.description not in taken)]), None)


def _is_of(ip: FloatingIP, prefix: str) -> bool:
    return str(ip.description or "").startswith(prefix)


def _port(connection: Connection, network_id: str, server_id: str) -> Port:
    ports = list(connection.network.ports(device_id=server_id))
    port = next((port for port in ports if port.network_id == network_id), next(iter(ports), None))
    if port is None:
        raise CloudError(
            "The server has no port on any network", why="a floating IP needs one", hint="kill and boot it again"
        )
    return port
