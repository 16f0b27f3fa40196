"""The store goes in; how each thing of the network is found, or not found in Neutron's words, comes out."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, summarize_address_range

from deploymachine.devcloud.firewall import Guard, Wire, Wiring, Zone
from deploymachine.devcloud.machines import Machines
from deploymachine.devcloud.quotas import Quotas
from deploymachine.devcloud.state import (
    FloatingIP,
    Group,
    Network,
    Port,
    Refused,
    Router,
    Rule,
    Server,
    Store,
    Subnet,
    V,
)

INTERFACE = "network:router_interface"
MISSING: dict[type[object], tuple[str, str]] = {
    Network: ("NetworkNotFound", "Network {} could not be found."),
    Subnet: ("SubnetNotFound", "Subnet {} could not be found."),
    Port: ("PortNotFound", "Port {} could not be found."),
    Router: ("RouterNotFound", "Router {} could not be found"),
    Group: ("SecurityGroupNotFound", "Security group {} does not exist"),
    Rule: ("SecurityGroupRuleNotFound", "Security group rule {} does not exist"),
    FloatingIP: ("FloatingIPNotFound", "Floating IP {} could not be found"),
}


class NetBase:
    """What every part of Neutron needs. Methods raise Refused with Neutron's status, kind and words."""

    def __init__(self, store: Store, machines: Machines) -> None:
        self.store = store
        self.machines = machines
        self.quotas = Quotas(store)
        self._applying = threading.Lock()
        self._made = self._applied = 0  # wirings, by number

    # finding

    def get(self, kind: type[V], identity: str) -> V:
        value = self.store.get(kind, identity)
        if value is None:
            name, words = MISSING[kind]
            raise Refused(404, words.format(identity), name)
        return value

    def subnets(self, network_id: str) -> list[Subnet]:
        return [subnet for subnet in self.store.all(Subnet) if subnet.network_id == network_id]

    def rules(self, group_id: str) -> list[Rule]:
        return [rule for rule in self.store.all(Rule) if rule.group_id == group_id]

    def ports(self, server: Server) -> list[Port]:
        """The first leads out."""
        found = [port for port in self.store.all(Port) if port.device_id == server.id]
        return sorted(found, key=lambda port: port.place)

    def interfaces(self, router_id: str) -> list[Port]:
        return [port for port in self.store.all(Port) if port.device_id == router_id and port.owner == INTERFACE]

    # addresses

    def used(self, subnet: Subnet) -> set[str]:
        ports = {port.address for port in self.store.all(Port) if port.subnet_id == subnet.id}
        floating = {one.address for one in self.store.all(FloatingIP) if one.network_id == subnet.network_id}
        routers = {one.address for one in self.store.all(Router) if one.external_id == subnet.network_id}
        return ports | floating | routers | {subnet.gateway}

    def free_address(self, network_id: str, subnet: Subnet | None) -> str:
        used = self.used(subnet) if subnet else set()
        for address in pool_of(subnet) if subnet else ():
            if str(address) not in used:
                return str(address)
        raise Refused(409, f"No more IP addresses available on network {network_id}.", "IpAddressGenerationFailure")

    def free_number(self) -> int:
        used = {port.number for port in self.store.all(Port)}
        return next(number for number in range(1, len(used) + 2) if number not in used)

    # what is really there

    def serve(self) -> None:
        """Make this machine's links, addresses, routes and rules match the store."""
        self._apply(self.machines.serve, whole=True)

    def guard(self) -> None:
        """Make its rules match the store: enough where no subnet, gateway or address pair changed."""
        self._apply(self.machines.guard, whole=False)

    def _apply(self, act: Callable[[Wiring], None], *, whole: bool) -> None:
        """In the order of the changes. Who waits here may hold the store's lock, so nobody asks for it in here."""
        while True:
            with self.store.lock:
                self._made += 1
                made, wiring = self._made, self.wiring()
            with self._applying:
                if made > self._applied:
                    act(wiring)
                    self._applied = made
                    return
            if not whole:  # a later one told all that this one has to tell
                return

    def wiring(self) -> Wiring:
        with self.store.lock:
            networks = {network.id: network for network in self.store.all(Network)}
            subnets = {subnet.id: subnet for subnet in self.store.all(Subnet)}
            ports = [port for port in self.store.all(Port) if port.number and port.admin_up]
            routers = [router for router in self.store.all(Router) if router.external_id]
            outer = [subnet for subnet in subnets.values() if networks[subnet.network_id].external]
            inner = [subnet for subnet in subnets.values() if not networks[subnet.network_id].external]
            return Wiring(
                gateways=tuple(gateway_of(s, external=s in outer) for s in subnets.values() if s.gateway),
                zones=tuple(self._zone(subnet) for subnet in inner),
                wires=tuple(wire_of(port, subnets[port.subnet_id]) for port in ports),
                guards=tuple(self._guarded(group, ports) for group in self.store.all(Group)),
                floating=tuple(self.floating_pairs()),
                outer=tuple(subnet.cidr for subnet in outer),
                front=routers[0].address if routers else "",
            )

    def _zone(self, subnet: Subnet) -> Zone:
        routers = [port.device_id for port in self.store.all(Port) if joins(port) and port.subnet_id == subnet.id]
        joined = {port.subnet_id for port in self.store.all(Port) if joins(port) and port.device_id in routers}
        beside = {other.id for other in self.subnets(subnet.network_id)}
        peers = [other.cidr for other in self.store.all(Subnet) if other.id in (joined | beside) - {subnet.id}]
        found = (self.store.get(Router, router) for router in routers)
        outside = any(router and router.external_id and router.admin_up for router in found)
        return Zone(subnet.cidr, tuple(peers), outside)

    def _guarded(self, group: Group, ports: Iterable[Port]) -> Guard:
        members = [address for port in ports if port.secure and group.id in port.groups for address in holds(port)]
        return Guard(group.id, tuple(self.rules(group.id)), tuple(members))

    def floating_pairs(self) -> list[tuple[str, str]]:
        ports = {port.id: port for port in self.store.all(Port)}
        return [(one.address, ports[one.port_id].address) for one in self.store.all(FloatingIP) if one.port_id]


def joins(port: Port) -> bool:
    return port.owner == INTERFACE


def holds(port: Port) -> list[str]:
    return [port.address, *(address for _, address in port.pairs)]


def wire_of(port: Port, subnet: Subnet) -> Wire:
    senders = ((port.mac, port.address), *((mac, address) for mac, address in port.pairs))
    return Wire(port.number, subnet.cidr, senders, tuple(port.groups) if port.secure else None)


def gateway_of(subnet: Subnet, *, external: bool) -> str:
    """With the length that makes its route: none for machines, which have a route each; all for floating ones."""
    return f"{subnet.gateway}/{subnet.cidr.partition('/')[2] if external else 32}"


def pool_of(subnet: Subnet) -> Iterable[IPv4Address]:
    if not subnet.pools:
        yield from IPv4Network(subnet.cidr).hosts()
    for first, last in subnet.pools:
        for network in summarize_address_range(IPv4Address(first), IPv4Address(last)):
            yield from network


def new_mac() -> str:
    return "fa:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
