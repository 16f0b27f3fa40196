"""Floating addresses: Neutron's decisions on the store; an address leads where it is told to when that is answered."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from deploymachine.devcloud.netbase import NetBase, joins
from deploymachine.devcloud.state import FloatingIP, Network, Port, Refused, Router, Subnet, new_id, now


class FloatingIPs(NetBase):
    """Every method raises Refused with Neutron's status, kind and words."""

    def floating(self, identity: str) -> FloatingIP:
        return self.get(FloatingIP, identity)

    def create_floating(
        self,
        network_id: str,
        port_id: str | None = None,
        description: str = "",
        address: str | None = None,
        fixed: str | None = None,
    ) -> FloatingIP:
        """address: the floating one that is wanted. fixed: the port's, which must be what it is."""
        network = self.get(Network, network_id)
        subnets = self.subnets(network_id)
        if not network.external or not subnets:
            words = f"Network {network_id} is not a valid external network"
            raise Refused(400, f"Bad floatingip request: {words}.", "BadRequest")
        with self.store.lock:
            chosen = self._chosen(network_id, subnets[0], address)
            floating = FloatingIP(new_id(), chosen, network_id, None, description)
            if port_id:
                self._check_port(floating, self.get(Port, port_id), fixed)
            self.quotas.check_network("floatingip")
            floating = replace(floating, port_id=port_id)
            self.store.put(floating)
        if port_id:
            self.guard()
        return floating

    def _chosen(self, network_id: str, subnet: Subnet, address: str | None) -> str:
        if address is None:
            return self.free_address(network_id, subnet)
        try:
            inside = IPv4Address(address) in IPv4Network(subnet.cidr)
        except AddressValueError as error:
            words = f"Invalid input for floating_ip_address. Reason: '{address}' is not a valid IP address."
            raise Refused(400, words, "HTTPBadRequest") from error
        if not inside:
            words = f"IP address {address} is not a valid IP for any of the subnets on the specified network."
            raise Refused(400, words, "InvalidIpForNetwork")
        if address in self.used(subnet):
            words = f"IP address {address} already allocated in subnet {subnet.id}"
            raise Refused(409, words, "IpAddressAlreadyAllocated")
        return address

    def associate(self, identity: str, port_id: str | None, fixed: str | None = None) -> FloatingIP:
        """port_id None leads it nowhere again."""
        with self.store.lock:
            floating = self.floating(identity)
            if port_id is not None:
                self._check_port(floating, self.get(Port, port_id), fixed)
            floating = replace(floating, port_id=port_id, updated=now())
            self.store.put(floating)
        self.guard()
        return floating

    def describe_floating(self, identity: str, description: str) -> FloatingIP:
        floating = replace(self.floating(identity), description=description, updated=now())
        self.store.put(floating)
        return floating

    def _check_port(self, floating: FloatingIP, port: Port, fixed: str | None) -> None:
        if fixed not in (None, port.address):
            words = f"Bad floatingip request: Port {port.id} does not have fixed ip {fixed}."
            raise Refused(400, words, "BadRequest")
        if self.router_between(floating.network_id, port.subnet_id) is None:
            words = f"External network {floating.network_id} is not reachable from subnet {port.subnet_id}."
            rest = f"  Therefore, cannot associate Port {port.id} with a Floating IP."
            raise Refused(404, words + rest, "ExternalGatewayForFloatingIPNotFound")
        if any(other.port_id == port.id and other.id != floating.id for other in self.store.all(FloatingIP)):
            words = (
                f"Cannot associate floating IP {floating.address} ({floating.id}) with port {port.id} using fixed IP"
            )
            rest = f"{port.address}, as that fixed IP already has a floating IP on external network"
            raise Refused(409, f"{words} {rest} {floating.network_id}.", "FloatingIPPortAlreadyAssociated")

    def router_between(self, network_id: str, subnet_id: str) -> Router | None:
        """The router that leads from that external network to that subnet."""
        joined = {port.device_id for port in self.store.all(Port) if joins(port) and port.subnet_id == subnet_id}
        found = (router for router in self.store.all(Router) if router.id in joined)
        return next((router for router in found if router.external_id == network_id), None)

    def delete_floating(self, identity: str) -> None:
        floating = self.floating(identity)
        self.store.drop(floating)
        if floating.port_id:
            self.guard()
