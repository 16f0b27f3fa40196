"""Networks and subnets: Neutron's decisions on the store; the host's side is there when that is answered."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any

from deploymachine.devcloud.netbase import NetBase, joins
from deploymachine.devcloud.state import Network, Port, Refused, Subnet, builtin_id, new_id, now

PROVIDERS = builtin_id("network", "public")  # belongs to the provider's project: seen, not changed


class Subnets(NetBase):
    """Every method raises Refused with Neutron's status, kind and words."""

    def network(self, identity: str) -> Network:
        return self.get(Network, identity)

    def subnet(self, identity: str) -> Subnet:
        return self.get(Subnet, identity)

    def create_network(self, name: str, **facts: Any) -> Network:
        """facts: description, admin_up, secure."""
        with self.store.lock:
            self.quotas.check_network("network")
            network = Network(new_id(), name, **facts)
            self.store.put(network)
        return network

    def update_network(self, identity: str, **changes: Any) -> Network:
        network = replace(self._own(self.network(identity), "update"), **changes, updated=now())
        self.store.put(network)
        return network

    def delete_network(self, identity: str) -> None:
        with self.store.lock:
            network = self._own(self.network(identity), "delete")
            used = sorted(port.id for port in self.store.all(Port) if port.network_id == identity)
            if used:
                words = f"Unable to complete operation on network {identity}. There are one or more ports still in use"
                raise Refused(409, f"{words} on the network, id for these ports is: {','.join(used)}.", "NetworkInUse")
            self.store.drop(network, *self.subnets(identity))
        self.serve()

    def _own(self, network: Network, verb: str) -> Network:
        if network.id == PROVIDERS:
            words = f"(rule:{verb}_network) is disallowed by policy"
            raise Refused(403, words, "PolicyNotAuthorized")
        return network

    def create_subnet(
        self, network_id: str, cidr: str, name: str = "", gateway: str | None = None, **facts: Any
    ) -> Subnet:
        """gateway: None is the first address, "" none. facts: description, dhcp, nameservers, pools."""
        self._own(self.network(network_id), "create")
        wanted = network_of(cidr)
        subnet = Subnet(
            new_id(), name, network_id, str(wanted), str(wanted[1]) if gateway is None else gateway, **facts
        )
        check_gateway(subnet)
        check_pools(subnet)
        with self.store.lock:
            self._check_apart(subnet, wanted)
            self.quotas.check_network("subnet")
            self.store.put(subnet)
        self.serve()
        return subnet

    def _check_apart(self, subnet: Subnet, wanted: IPv4Network) -> None:
        """Subnets share this machine's routes, so one overlaps none of another network either, nor its surroundings."""
        others = [IPv4Network(other.cidr) for other in self.store.all(Subnet)]
        if any(wanted.overlaps(other) for other in [*others, *self.machines.taken()]):
            message = f"Requested subnet with cidr: {subnet.cidr} for network: {subnet.network_id} overlaps with"
            raise Refused(400, f"Invalid input for operation: {message} another subnet.", "InvalidInput")

    def update_subnet(self, identity: str, **changes: Any) -> Subnet:
        with self.store.lock:
            old = self.subnet(identity)
            self._own(self.network(old.network_id), "update")
            subnet = replace(old, **changes, updated=now())
            check_gateway(subnet)
            check_pools(subnet)
            if subnet.gateway != old.gateway:
                self._check_gateway_unused(old)
            self.store.put(subnet)
        self.serve()
        return subnet

    def _check_gateway_unused(self, subnet: Subnet) -> None:
        for port in self.store.all(Port):
            if joins(port) and port.subnet_id == subnet.id and port.address == subnet.gateway:
                words = f"Current gateway ip {subnet.gateway} already in use by port {port.id}. Unable to update."
                raise Refused(409, words, "GatewayIpInUse")

    def delete_subnet(self, identity: str) -> None:
        with self.store.lock:
            subnet = self.subnet(identity)
            self._own(self.network(subnet.network_id), "delete")
            if any(port.subnet_id == identity for port in self.store.all(Port)):
                words = "One or more ports have an IP allocation from this subnet."
                raise Refused(409, f"Unable to complete operation on subnet {identity}: {words}", "SubnetInUse")
            self.store.drop(subnet)
        self.serve()


def network_of(cidr: str) -> IPv4Network:
    """Raises Refused."""
    try:
        address, slash, _ = cidr.partition("/")
        network = IPv4Network(cidr, strict=False)
    except ValueError as error:
        words = f"Invalid input for cidr. Reason: '{cidr}' is not a valid IP subnet."
        raise Refused(400, words, "HTTPBadRequest") from error
    if not slash or str(network.network_address) != address:
        shown = f"'{cidr}' isn't a recognized IP subnet cidr, '{network}' is recommended."
        raise Refused(400, f"Invalid input for cidr. Reason: {shown}", "HTTPBadRequest")
    if network.prefixlen > 30:
        words = "Subnets of fewer than two hosts are not supported by devcloud."
        raise Refused(400, f"Invalid input for operation: {words}", "InvalidInput")
    return network


def check_gateway(subnet: Subnet) -> None:
    try:
        outside = subnet.gateway and IPv4Address(subnet.gateway) not in IPv4Network(subnet.cidr)
    except AddressValueError as error:
        words = f"Invalid input for gateway_ip. Reason: '{subnet.gateway}' is not a valid IP address."
        raise Refused(400, words, "HTTPBadRequest") from error
    if outside:
        raise Refused(400, "Invalid input for operation: Gateway is not valid on subnet.", "InvalidInput")
    for first, last in subnet.pools:
        if subnet.gateway and IPv4Address(first) <= IPv4Address(subnet.gateway) <= IPv4Address(last):
            words = f"Gateway ip {subnet.gateway} conflicts with allocation pool {first}-{last}."
            raise Refused(409, words, "GatewayConflictWithAllocationPools")


def check_pools(subnet: Subnet) -> None:
    network = IPv4Network(subnet.cidr)
    for first, last in subnet.pools:
        if IPv4Address(first) > IPv4Address(last):
            raise Refused(400, f"Invalid IP allocation pool: {first}-{last}.", "InvalidAllocationPool")
        if IPv4Address(first) not in network or IPv4Address(last) not in network:
            words = f"The allocation pool {first}-{last} spans beyond the subnet cidr {subnet.cidr}."
            raise Refused(400, words, "OutOfBoundsAllocationPool")
