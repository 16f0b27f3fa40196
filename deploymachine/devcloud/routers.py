"""Routers, their interfaces and gateways: Neutron's decisions on the store; networks are joined and parted at once."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

from deploymachine.devcloud.netbase import INTERFACE, NetBase, new_mac
from deploymachine.devcloud.state import FloatingIP, Network, Port, Refused, Router, Subnet, new_id, now


class Routers(NetBase):
    """Every method raises Refused with Neutron's status, kind and words."""

    def router(self, identity: str) -> Router:
        return self.get(Router, identity)

    def create_router(self, name: str, external_id: str | None = None, **facts: Any) -> Router:
        """external_id: the network for its gateway. facts: description, admin_up."""
        with self.store.lock:
            address = self._gateway(external_id) if external_id else ""
            self.quotas.check_network("router")
            router = Router(new_id(), name, external_id, address, **facts)
            self.store.put(router)
        return router

    def update_router(self, identity: str, **changes: Any) -> Router:
        """external_id among the changes sets (None: clears) the gateway."""
        with self.store.lock:
            router = self.router(identity)
            if "external_id" in changes and changes["external_id"] != router.external_id:
                self._check_unfloated(router, self.interfaces(identity))
                external_id = changes["external_id"]
                changes["address"] = self._gateway(external_id) if external_id else ""
            router = replace(router, **changes, updated=now())
            self.store.put(router)
        self.guard()
        return router

    def _gateway(self, network_id: str) -> str:
        network, subnets = self.get(Network, network_id), self.subnets(network_id)
        if not network.external:
            words = f"Bad router request: Network {network_id} is not an external network."
            raise Refused(400, words, "BadRequest")
        return self.free_address(network_id, subnets[0] if subnets else None)

    def _check_unfloated(self, router: Router, leaving: list[Port]) -> None:
        """Floating addresses that lead through those interfaces hold them."""
        subnets = {port.subnet_id for port in leaving}
        ports = {port.id for port in self.store.all(Port) if port.subnet_id in subnets}
        held = [one for one in self.store.all(FloatingIP) if one.port_id in ports]
        if any(one.network_id == router.external_id for one in held):
            words = f"Gateway cannot be updated for router {router.id}, since a gateway to external network"
            rest = f"{router.external_id} is required by one or more floating IPs."
            raise Refused(409, f"{words} {rest}", "RouterExternalGatewayInUseByFloatingIp")

    def delete_router(self, identity: str) -> None:
        with self.store.lock:
            router = self.router(identity)
            if self.interfaces(identity):
                raise Refused(409, f"Router {identity} still has ports", "RouterInUse")
            self.store.drop(router)
        self.guard()

    def add_interface(self, identity: str, subnet_id: str | None, port_id: str | None) -> Port:
        with self.store.lock:
            router = self.router(identity)
            if bool(subnet_id) == bool(port_id):
                both = "Either subnet_id or port_id must be specified"
                words = "Cannot specify both subnet-id and port-id" if subnet_id else both
                raise Refused(400, f"Bad router request: {words}.", "BadRequest")
            port = self._interface_taken(router, port_id) if port_id else self._interface_made(router, str(subnet_id))
            self.store.put(port)
        self.guard()
        return port

    def _interface_made(self, router: Router, subnet_id: str) -> Port:
        subnet = self.get(Subnet, subnet_id)
        if not subnet.gateway:
            raise Refused(400, "Bad router request: Subnet for router interface must have a gateway IP.", "BadRequest")
        self._check_joinable(router, subnet)
        if any(port.address == subnet.gateway for port in self._ports_in(subnet)):
            words = f"IP address {subnet.gateway} already allocated in subnet {subnet.id}"
            raise Refused(409, words, "IpAddressAlreadyAllocated")
        self.quotas.check_network("port")
        port = Port(new_id(), 0, subnet.network_id, subnet.id, subnet.gateway, new_mac(), [], secure=False)
        return replace(port, device_id=router.id, owner=INTERFACE)

    def _interface_taken(self, router: Router, port_id: str) -> Port:
        port = self.get(Port, port_id)
        if port.device_id:
            words = f"Unable to complete operation on port {port_id} for network {port.network_id}."
            rest = f"Port already has an attached device {port.device_id}."
            raise Refused(409, f"{words} {rest}", "PortInUse")
        self._check_joinable(router, self.get(Subnet, port.subnet_id))
        return replace(port, number=0, device_id=router.id, owner=INTERFACE, groups=[], secure=False, updated=now())

    def _check_joinable(self, router: Router, subnet: Subnet) -> None:
        for port in self.interfaces(router.id):
            if port.subnet_id == subnet.id:
                words = f"Bad router request: Router already has a port on subnet {subnet.id}."
                raise Refused(400, words, "BadRequest")
            other = self.get(Subnet, port.subnet_id)
            if IPv4Network(other.cidr).overlaps(IPv4Network(subnet.cidr)):
                words = f"Bad router request: Cidr {subnet.cidr} of subnet {subnet.id} overlaps with cidr {other.cidr}"
                raise Refused(400, f"{words} of subnet {other.id}.", "BadRequest")

    def _ports_in(self, subnet: Subnet) -> list[Port]:
        return [port for port in self.store.all(Port) if port.subnet_id == subnet.id]

    def remove_interface(self, identity: str, subnet_id: str | None, port_id: str | None) -> Port:
        with self.store.lock:
            self.router(identity)
            if not subnet_id and not port_id:
                words = "Bad router request: Either subnet_id or port_id must be specified."
                raise Refused(400, words, "BadRequest")
            port = self._interface(identity, subnet_id, port_id)
            self._check_unneeded(identity, port)
            self.store.drop(port)
        self.guard()
        return port

    def _interface(self, router_id: str, subnet_id: str | None, port_id: str | None) -> Port:
        ports = self.interfaces(router_id)
        if port_id:
            found = next((port for port in ports if port.id == port_id), None)
            if found is None:
                words = f"Router {router_id} does not have an interface with id {port_id}"
                raise Refused(404, words, "RouterInterfaceNotFound")
            if subnet_id not in (None, "", found.subnet_id):
                words = f"Router {router_id} does not have an interface on subnet {subnet_id}"
                raise Refused(409, words, "SubnetMismatchForPort")
            return found
        found = next((port for port in ports if port.subnet_id == subnet_id), None)
        if found is None:
            words = f"Router {router_id} has no interface on subnet {subnet_id}"
            raise Refused(404, words, "RouterInterfaceNotFoundForSubnet")
        return found

    def _check_unneeded(self, router_id: str, interface: Port) -> None:
        ports = {port.id for port in self.store.all(Port) if port.subnet_id == interface.subnet_id}
        if any(one.port_id in ports for one in self.store.all(FloatingIP)):
            words = f"Router interface for subnet {interface.subnet_id} on router {router_id} cannot be deleted,"
            kind = "RouterInterfaceInUseByFloatingIP"
            raise Refused(409, f"{words} as it is required by one or more floating IPs.", kind)
