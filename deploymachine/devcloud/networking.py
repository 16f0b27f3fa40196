"""Networks, ports, security groups and floating addresses: Neutron's decisions on the store, no HTTP."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from deploymachine.devcloud.machines import Machines
from deploymachine.devcloud.network import Plug
from deploymachine.devcloud.state import (
    FloatingIP,
    Group,
    Network,
    Port,
    Refused,
    Rule,
    Server,
    Store,
    Subnet,
    V,
    builtin_id,
    new_id,
)

DEFAULT_GROUP = builtin_id("group", "default")


class Networking:
    """Every method raises Refused with Neutron's status, kind and words."""

    def __init__(self, store: Store, machines: Machines) -> None:
        self.store = store
        self.machines = machines

    def get(self, kind: type[V], identity: str, words: str) -> V:
        """words: how Neutron names the kind when it isn't there, "Network {} could not be found."."""
        value = self.store.get(kind, identity)
        if value is None:
            raise Refused(404, words.format(identity), f"{NOT_FOUND[kind]}NotFound")
        return value

    def network(self, identity: str) -> Network:
        return self.get(Network, identity, "Network {} could not be found.")

    def subnet(self, identity: str) -> Subnet:
        return self.get(Subnet, identity, "Subnet {} could not be found.")

    def port(self, identity: str) -> Port:
        return self.get(Port, identity, "Port {} could not be found.")

    def group(self, identity: str) -> Group:
        return self.get(Group, identity, "Security group {} does not exist")

    def rule(self, identity: str) -> Rule:
        return self.get(Rule, identity, "Security group rule {} does not exist")

    def floating(self, identity: str) -> FloatingIP:
        return self.get(FloatingIP, identity, "Floating IP {} could not be found")

    def subnets(self, network_id: str) -> list[Subnet]:
        return [subnet for subnet in self.store.all(Subnet) if subnet.network_id == network_id]

    def rules(self, group_id: str) -> list[Rule]:
        return [rule for rule in self.store.all(Rule) if rule.group_id == group_id]

    def ports(self, server: Server) -> list[Port]:
        return [port for port in self.store.all(Port) if port.device_id == server.id]

    # networks

    def create_network(self, name: str) -> Network:
        network = Network(new_id(), name)
        self.store.put(network)
        return network

    def create_subnet(self, network_id: str, cidr: str, name: str = "", gateway: str | None = None) -> Subnet:
        self.network(network_id)
        try:
            wanted = IPv4Network(cidr)
        except ValueError as error:
            raise Refused(400, f"Invalid input for cidr. Reason: {error}.", "HTTPBadRequest") from error
        with self.store.lock:
            if any(wanted.overlaps(IPv4Network(subnet.cidr)) for subnet in self.store.all(Subnet)):
                message = f"Requested subnet with cidr: {cidr} for network: {network_id} overlaps with another subnet."
                raise Refused(400, f"Invalid input for operation: {message}", "InvalidInput")
            subnet = Subnet(new_id(), name, network_id, cidr, gateway or str(wanted[1]))
            self.store.put(subnet)
        self.serve()
        return subnet

    def delete_network(self, identity: str) -> None:
        network = self.network(identity)
        with self.store.lock:
            used = [port.id for port in self.store.all(Port) if port.network_id == identity]
            if used:
                words = f"Unable to complete operation on network {identity}. There are one or more ports still in use"
                raise Refused(409, f"{words} on the network, id for these ports is: {','.join(used)}.", "NetworkInUse")
            self.store.drop(network, *self.subnets(identity))

    def delete_subnet(self, identity: str) -> None:
        subnet = self.subnet(identity)
        if any(port.subnet_id == identity for port in self.store.all(Port)):
            words = "One or more ports have an IP allocation from this subnet."
            raise Refused(409, f"Unable to complete operation on subnet {identity}: {words}", "SubnetInUse")
        self.store.drop(subnet)

    def serve(self) -> None:
        """Make the host's side match the store."""
        self.machines.serve([self._gateway(subnet) for subnet in self.store.all(Subnet)], self.floating_pairs())

    def _gateway(self, subnet: Subnet) -> str:
        """With the length that makes its route: none for machines, which have a route each; all for floating ones."""
        external = self.network(subnet.network_id).external
        return f"{subnet.gateway}/{subnet.cidr.partition('/')[2] if external else 32}"

    # ports

    def create_port(
        self,
        network_id: str,
        *,
        address: str | None = None,
        groups: Iterable[str] | None = None,
        name: str = "",
        device_id: str = "",
    ) -> Port:
        """groups: ids; None is the default group. device_id: the server it is made for."""
        network = self.network(network_id)
        with self.store.lock:
            subnet = self._subnet_for(network, address)
            port = Port(
                id=new_id(),
                number=self._free_number(),
                network_id=network.id,
                subnet_id=subnet.id,
                address=address or self._free_address(subnet),
                mac="fa:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3)),
                groups=[self.group(group).id for group in groups] if groups is not None else [DEFAULT_GROUP],
                name=name,
                device_id=device_id,
                made_for_server=bool(device_id),
            )
            self.store.put(port)
        return port

    def _subnet_for(self, network: Network, address: str | None) -> Subnet:
        for subnet in self.subnets(network.id):
            if address is None or IPv4Address(address) in IPv4Network(subnet.cidr):
                if address in self._used(subnet):
                    words = f"IP address {address} already allocated in subnet {subnet.id}"
                    raise Refused(409, words, "IpAddressAlreadyAllocated")
                return subnet
        raise Refused(400, f"No subnet of network {network.id} can hold {address or 'a port'}.", "InvalidIpForNetwork")

    def _used(self, subnet: Subnet) -> set[str]:
        ports = {port.address for port in self.store.all(Port) if port.subnet_id == subnet.id}
        floating = {one.address for one in self.store.all(FloatingIP) if one.network_id == subnet.network_id}
        return ports | floating | {subnet.gateway}

    def _free_address(self, subnet: Subnet) -> str:
        used = self._used(subnet)
        for address in IPv4Network(subnet.cidr).hosts():
            if str(address) not in used:
                return str(address)
        words = f"No more IP addresses available on network {subnet.network_id}."
        raise Refused(409, words, "IpAddressGenerationFailure")

    def _free_number(self) -> int:
        used = {port.number for port in self.store.all(Port)}
        return next(number for number in range(1, len(used) + 2) if number not in used)

    def plug_of(self, port: Port) -> Plug:
        subnet = self.subnet(port.subnet_id)
        return Plug(port.number, f"{port.address}/{subnet.cidr.partition('/')[2]}", subnet.gateway, port.mac)

    def set_groups(self, port: Port, groups: list[str]) -> None:
        self.store.put(replace(port, groups=groups))

    def delete_port(self, identity: str) -> None:
        self.release(self.port(identity))

    def release(self, *ports: Port) -> None:
        """Ports made for a server go with it, others stay for the next; floating addresses stay, led nowhere."""
        gone = {port.id for port in ports}
        loose = [replace(one, port_id=None) for one in self.store.all(FloatingIP) if one.port_id in gone]
        with self.store.lock:
            self.store.put(*loose)
            self.store.drop(*ports)
        if loose:
            self.machines.float(self.floating_pairs())

    # security groups

    def create_group(self, name: str, description: str = "") -> Group:
        group = Group(new_id(), name, description)
        out = [Rule(new_id(), group.id, "egress", kind, description=None) for kind in ("IPv4", "IPv6")]
        self.store.put(group, *out)
        return group

    def delete_group(self, identity: str) -> None:
        group = self.group(identity)
        if any(identity in port.groups for port in self.store.all(Port)):
            raise Refused(409, f"Security Group {identity} in use.", "SecurityGroupInUse")
        if identity == DEFAULT_GROUP:
            raise Refused(409, "Insufficient rights for removing default security group.", "HTTPConflict")
        self.store.drop(group, *self.rules(identity))

    def create_rule(self, rule: Rule) -> Rule:
        self.group(rule.group_id)
        if rule.port_min is not None and rule.port_max is not None and rule.port_min > rule.port_max:
            words = "For TCP/UDP protocols, port_range_min must be <= port_range_max"
            raise Refused(400, words, "SecurityGroupInvalidPortRange")
        with self.store.lock:
            for other in self.rules(rule.group_id):
                if replace(other, id=rule.id, created=rule.created, description=rule.description) == rule:
                    words = f"Security group rule already exists. Rule id is {other.id}."
                    raise Refused(409, words, "SecurityGroupRuleExists")
            self.store.put(rule)
        return rule

    def delete_rule(self, identity: str) -> None:
        self.store.drop(self.rule(identity))

    def find_groups(self, names: Iterable[str]) -> list[Group]:
        """By name or id, as Nova is given them."""
        found = []
        for name in names:
            matches = [group for group in self.store.all(Group) if name in (group.id, group.name)]
            if not matches:
                raise Refused(400, f"Unable to find security_group with name or id '{name}'")
            if len(matches) > 1:
                words = f"Multiple security_group matches found for name '{name}', use an ID to be more specific."
                raise Refused(409, words)
            found += matches
        return found

    # floating addresses

    def create_floating(self, network_id: str, port_id: str | None = None, description: str = "") -> FloatingIP:
        network = self.network(network_id)
        if not network.external:
            words = f"Network {network_id} is not a valid external network"
            raise Refused(400, f"Bad floatingip request: {words}.", "BadRequest")
        with self.store.lock:
            address = self._free_address(self.subnets(network_id)[0])
            floating = FloatingIP(new_id(), address, network_id, None, description)
            self.store.put(floating)
            return self.associate(floating.id, port_id) if port_id else floating

    def associate(self, identity: str, port_id: str | None) -> FloatingIP:
        """port_id None leads it nowhere again."""
        floating = self.floating(identity)
        with self.store.lock:
            if port_id is not None:
                self._check_free(floating, self.port(port_id))
            floating = replace(floating, port_id=port_id)
            self.store.put(floating)
        self.machines.float(self.floating_pairs())
        return floating

    def _check_free(self, floating: FloatingIP, port: Port) -> None:
        if any(other.port_id == port.id and other.id != floating.id for other in self.store.all(FloatingIP)):
            words = (
                f"Cannot associate floating IP {floating.address} ({floating.id}) with port {port.id} using fixed IP"
            )
            rest = f"{port.address}, as that fixed IP already has a floating IP on external network"
            raise Refused(409, f"{words} {rest} {floating.network_id}.", "FloatingIPPortAlreadyAssociated")

    def delete_floating(self, identity: str) -> None:
        self.store.drop(self.floating(identity))
        self.machines.float(self.floating_pairs())

    def floating_pairs(self) -> list[tuple[str, str]]:
        ports = {port.id: port for port in self.store.all(Port)}
        return [(one.address, ports[one.port_id].address) for one in self.store.all(FloatingIP) if one.port_id]


NOT_FOUND: dict[type[object], str] = {
    Network: "Network",
    Subnet: "Subnet",
    Port: "Port",
    Group: "SecurityGroup",
    Rule: "SecurityGroupRule",
    FloatingIP: "FloatingIP",
}
