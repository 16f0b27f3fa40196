"""Ports: Neutron's decisions on the store, and Nova's about which of them a server gets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any

from deploymachine.devcloud.netbase import NetBase, joins, new_mac, pool_of
from deploymachine.devcloud.network import Plug
from deploymachine.devcloud.securitygroups import DEFAULT_GROUP
from deploymachine.devcloud.state import (
    PROJECT,
    FloatingIP,
    Group,
    Network,
    Port,
    Refused,
    Server,
    Subnet,
    new_id,
    now,
)

COMPUTE = "compute:nova"
Wanted = tuple[tuple[str, str, str | None], ...]


class Ports(NetBase):
    """Every method raises Refused with Neutron's status, kind and words; those for servers with Nova's."""

    def port(self, identity: str) -> Port:
        return self.get(Port, identity)

    def create_port(
        self,
        network_id: str,
        *,
        address: str | None = None,
        subnet_id: str | None = None,
        groups: Iterable[str] | None = None,
        device_id: str = "",
        **facts: Any,
    ) -> Port:
        """groups: ids; None is the default group. device_id: the server it is made for. facts: Port's other fields."""
        port = self._make_port(network_id, address, subnet_id, groups, device_id, facts)
        self.guard()
        return port

    def _make_port(
        self,
        network_id: str,
        address: str | None,
        subnet_id: str | None,
        groups: Iterable[str] | None,
        device_id: str,
        facts: dict[str, Any],
    ) -> Port:
        network = self.get(Network, network_id)
        with self.store.lock:
            subnet = self._subnet_for(network, address, subnet_id)
            self.quotas.check_network("port")
            port = Port(
                id=new_id(),
                number=self.free_number(),
                network_id=network.id,
                subnet_id=subnet.id,
                address=address or self.free_address(network.id, subnet),
                mac=facts.pop("mac", None) or new_mac(),
                groups=[],
                device_id=device_id,
                made_for_server=bool(device_id),
                owner=facts.pop("owner", COMPUTE if device_id else ""),
                secure=facts.pop("secure", network.secure),
                **facts,
            )
            port = replace(port, groups=self._groups_of(port, groups))
            self._check(port)
            self.store.put(port)
        return port

    def _groups_of(self, port: Port, groups: Iterable[str] | None) -> list[str]:
        if groups is None:
            return [DEFAULT_GROUP] if port.secure else []
        return [self.get(Group, group).id for group in groups]

    def _subnet_for(self, network: Network, address: str | None, subnet_id: str | None) -> Subnet:
        subnets = [self.get(Subnet, subnet_id)] if subnet_id else self.subnets(network.id)
        if subnet_id and subnets[0].network_id != network.id:
            words = f"Failed to create port on network {network.id}, because fixed_ips included invalid subnet"
            raise Refused(400, f"Invalid input for operation: {words} {subnet_id}.", "InvalidInput")
        for subnet in subnets:
            used = self.used(subnet)
            if address is None:
                if any(str(one) not in used for one in pool_of(subnet)):
                    return subnet
            elif _inside(address, subnet):
                if address in used:
                    words = f"IP address {address} already allocated in subnet {subnet.id}"
                    raise Refused(409, words, "IpAddressAlreadyAllocated")
                return subnet
        if address is None:
            words = f"No more IP addresses available on network {network.id}."
            raise Refused(409, words, "IpAddressGenerationFailure")
        words = f"IP address {address} is not a valid IP for any of the subnets on the specified network."
        raise Refused(400, words, "InvalidIpForNetwork")

    def _check(self, port: Port) -> None:
        if port.groups and not port.secure:
            words = "Port Security must be enabled and port must have an IP address in order to use security groups."
            raise Refused(400, words, "PortSecurityAndIPRequiredForSecurityGroups")
        if port.pairs and not port.secure:
            words = "Port Security must be enabled in order to have allowed address pairs on a port."
            raise Refused(409, words, "AddressPairAndPortSecurityRequired")
        others = [
            other for other in self.store.all(Port) if other.id != port.id and other.network_id == port.network_id
        ]
        if any(other.mac == port.mac for other in others):
            words = f"Unable to complete operation for network {port.network_id}. The mac address {port.mac} is in use."
            raise Refused(409, words, "MacAddressInUse")

    def update_port(self, identity: str, **changes: Any) -> Port:
        """changes: Port's fields."""
        with self.store.lock:
            old = self.port(identity)
            if joins(old) and changes.keys() - {"name", "description", "admin_up"}:
                words = f"Port {identity} cannot be updated: has device owner {old.owner}."
                raise Refused(409, words, "ServicePortInUse")
            if changes.get("groups") is not None:
                changes["groups"] = [self.get(Group, group).id for group in changes["groups"]]
            elif changes.get("secure") is False and old.groups:
                words = "Port has security group associated. Cannot disable port security or IP address until security"
                raise Refused(409, f"{words} group is removed.", "PortSecurityPortHasSecurityGroup")
            if old.device_id and changes.get("mac", old.mac) != old.mac:
                words = f"Unable to complete operation on port {identity}, port is already bound, port type: devcloud,"
                rest = f"old_mac {old.mac}, new_mac {changes['mac']}."
                raise Refused(409, f"{words} {rest}", "PortBound")
            port = replace(old, **changes, updated=now())
            self._check(port)
            if (port.address, port.subnet_id) != (old.address, old.subnet_id):
                self._check_moved(old, port)
            self.store.put(port)
        self.serve()
        return port

    def _check_moved(self, old: Port, port: Port) -> None:
        if old.device_id:
            words = "devcloud does not change the address of a port that a server uses."
            raise Refused(400, f"Invalid input for operation: {words}", "InvalidInput")
        self._subnet_for(self.get(Network, port.network_id), port.address, port.subnet_id or None)

    def delete_port(self, identity: str) -> None:
        port = self.port(identity)
        if joins(port):
            words = f"Port {identity} cannot be deleted directly via the port API: has device owner {port.owner}."
            raise Refused(409, words, "ServicePortInUse")
        if port.device_id and port.place == 0:
            words = f"Unable to complete operation on port {identity} for network {port.network_id}."
            rest = f"Port already has an attached device {port.device_id}."  # and its number names that machine
            raise Refused(409, f"{words} {rest}", "PortInUse")
        if port.device_id:
            self.machines.pull_out(port.number)
        self.release(port)

    def release(self, *ports: Port) -> None:
        self._drop(*ports)
        self.guard()

    def _drop(self, *ports: Port) -> None:
        """Floating addresses that led there stay, led nowhere."""
        gone = {port.id for port in ports}
        with self.store.lock:
            loose = [replace(one, port_id=None) for one in self.store.all(FloatingIP) if one.port_id in gone]
            self.store.put(*loose)
            self.store.drop(*ports)

    def plug_of(self, port: Port) -> Plug:
        subnet = self.get(Subnet, port.subnet_id)
        address = f"{port.address}/{subnet.cidr.partition('/')[2]}"
        return Plug(port.number, address, subnet.gateway, port.mac, tuple(address for _, address in port.pairs))

    # for servers, in Nova's words

    def check_wanted(self, wanted: Wanted | None, count: int) -> Wanted:
        """What that many new servers shall be connected to, checked before there is any. None: the only network."""
        chosen = self.the_one_network() if wanted is None else wanted
        if not chosen and wanted is None:
            raise Refused(400, f"Unable to automatically allocate a network for project {PROJECT}")
        if not chosen:
            raise Refused(400, "devcloud connects a server to at least one network.")
        for kind, identity, address in chosen:
            if kind == "port":
                self._check_port_free(identity)
                if count > 1:
                    raise Refused(400, "Unable to launch multiple instances with a single configured port ID.")
            else:
                self._check_network(identity, address)
        if len({identity for _, identity, _ in chosen}) < len([one for one in chosen if one[0] == "port"]):
            raise Refused(400, "Port is listed more than once.")
        self.quotas.check_ports(count * sum(kind != "port" for kind, _, _ in chosen))
        return chosen

    def the_one_network(self) -> Wanted:
        inner = [network for network in self.store.all(Network) if not network.external and self.subnets(network.id)]
        if len(inner) > 1:
            raise Refused(409, "Multiple possible networks found, use a Network ID to be more specific.")
        return tuple(("uuid", network.id, None) for network in inner)

    def _check_port_free(self, identity: str, missing: int = 400) -> Port:
        port = self.store.get(Port, identity)
        if port is None:
            raise Refused(missing, f"Port id {identity} could not be found.")
        if port.device_id:
            raise Refused(409, f"Port {identity} is still in use.")
        return port

    def _check_network(self, identity: str, address: str | None) -> None:
        network = self.store.get(Network, identity)
        if network is None:
            raise Refused(400, f"Network {identity} could not be found.")
        if network.external:
            raise Refused(403, f"It is not allowed to create an interface on external network {identity}")
        subnets = self.subnets(identity)
        if not subnets:
            raise Refused(400, f"Network {identity} requires a subnet in order to boot instances on.")
        if address is not None and not any(_inside(address, subnet) for subnet in subnets):
            raise Refused(400, f"Fixed IP {address} is not a valid ip address for network {identity}.")
        if any(address in self.used(subnet) for subnet in subnets):
            raise Refused(400, f"Fixed IP address {address} is already in use on instance.")

    def connect(self, server_id: str, wanted: Wanted, groups: list[str]) -> list[Port]:
        """The server's ports: those named, and new ones on the networks named. groups: ids, for the new ones.

        In force with the next `guard`, for which nobody should wait with the store locked.
        """
        with self.store.lock:
            place = 1 + max((port.place for port in self.store.all(Port) if port.device_id == server_id), default=-1)
            return [self._give(server_id, one, groups, place + at) for at, one in enumerate(wanted)]

    def _give(self, server_id: str, one: tuple[str, str, str | None], groups: list[str], place: int) -> Port:
        kind, identity, address = one
        if kind != "port":
            return self._make_port(identity, address, None, groups, server_id, {"place": place})
        port = self._check_port_free(identity)
        port = replace(port, device_id=server_id, owner=COMPUTE, place=place, updated=now())
        self.store.put(port)
        return port

    def part(self, server: Server) -> None:
        """Of a server that goes: ports made for it go with it, others stay for the next. In force as `connect`."""
        ports = self.ports(server)
        kept = [port for port in ports if not port.made_for_server]
        with self.store.lock:
            self.store.put(*(replace(port, device_id="", owner="", place=0, updated=now()) for port in kept))
            self._drop(*(port for port in ports if port.made_for_server))

    def attach(self, server: Server, one: tuple[str, str, str | None] | None, running: bool) -> Port:
        """One more for a server. one: (kind, id, address); None: on the only network."""
        wanted = (one,) if one else None
        if one and one[0] == "port":
            self._check_port_free(one[1], missing=404)
        groups = self.ports(server)[0].groups or [DEFAULT_GROUP]
        port = self.connect(server.id, self.check_wanted(wanted, 1), groups)[0]
        self.guard()
        if running:
            self.machines.plug_in(self.ports(server)[0].number, self.plug_of(port))
        return port

    def detach(self, server: Server, identity: str) -> None:
        port = self.store.get(Port, identity)
        if port is None or port.device_id != server.id:
            raise Refused(404, f"Port id {identity} could not be found.")
        if port == self.ports(server)[0]:
            raise Refused(400, "devcloud does not detach a server's first interface.")
        self.machines.pull_out(port.number)
        if port.made_for_server:
            self.release(port)
            return
        loose = [replace(one, port_id=None) for one in self.store.all(FloatingIP) if one.port_id == port.id]
        self.store.put(replace(port, device_id="", owner="", place=0, updated=now()), *loose)
        self.guard()


def _inside(address: str, subnet: Subnet) -> bool:
    try:
        return IPv4Address(address) in IPv4Network(subnet.cidr)
    except AddressValueError as error:
        words = f"Invalid input for ip_address. Reason: '{address}' is not a valid IP address."
        raise Refused(400, words, "HTTPBadRequest") from error
