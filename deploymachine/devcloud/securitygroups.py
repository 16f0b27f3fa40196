"""Security groups and their rules: Neutron's decisions on the store; every change is in force when it is answered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_network

from deploymachine.devcloud.firewall import PROTOCOLS, WITH_PORTS, protocol_number
from deploymachine.devcloud.netbase import NetBase
from deploymachine.devcloud.state import Group, Port, Refused, Rule, builtin_id, new_id, now

DEFAULT_GROUP = builtin_id("group", "default")
FOR_IPV6 = ("ipv6-icmp", "ipv6-encap", "ipv6-frag", "ipv6-nonxt", "ipv6-opts", "ipv6-route")
KNOWN = {*PROTOCOLS, "any", "icmpv6", *FOR_IPV6}
ICMP = {"icmp", "1", "icmpv6", "ipv6-icmp", "58"}


class SecurityGroups(NetBase):
    """Every method raises Refused with Neutron's status, kind and words."""

    def group(self, identity: str) -> Group:
        return self.get(Group, identity)

    def rule(self, identity: str) -> Rule:
        return self.get(Rule, identity)

    def create_group(self, name: str, description: str = "") -> Group:
        if name == "default":
            raise Refused(409, "Default security group already exists.", "SecurityGroupDefaultAlreadyExists")
        with self.store.lock:
            self.quotas.check_network("security_group")
            self.quotas.check_network("security_group_rule", 2)
            group = Group(new_id(), name, description)
            out = [Rule(new_id(), group.id, "egress", kind, description=None) for kind in ("IPv4", "IPv6")]
            self.store.put(group, *out)
        self.guard()
        return group

    def update_group(self, identity: str, **changes: str) -> Group:
        group = self.group(identity)
        if identity == DEFAULT_GROUP and changes.get("name", group.name) != group.name:
            raise Refused(409, "Updating default security group not allowed.", "SecurityGroupCannotUpdateDefault")
        group = replace(group, **changes, updated=now())
        self.store.put(group)
        return group

    def delete_group(self, identity: str) -> None:
        with self.store.lock:
            group = self.group(identity)
            if any(identity in port.groups for port in self.store.all(Port)):
                raise Refused(409, f"Security Group {identity} in use.", "SecurityGroupInUse")
            if identity == DEFAULT_GROUP:
                words = "Insufficient rights for removing default security group."
                raise Refused(409, words, "SecurityGroupCannotRemoveDefault")
            naming = [rule for rule in self.store.all(Rule) if rule.remote_group_id == identity]
            self.store.drop(group, *self.rules(identity), *naming)
        self.guard()

    def create_rule(self, rule: Rule) -> Rule:
        self.group(rule.group_id)
        if rule.remote_group_id:
            self.group(rule.remote_group_id)
        _check_protocol(rule)
        _check_ports(rule)
        _check_prefix(rule)
        with self.store.lock:
            for other in self.rules(rule.group_id):
                if _same(rule, other):
                    words = f"Security group rule already exists. Rule id is {other.id}."
                    raise Refused(409, words, "SecurityGroupRuleExists")
            self.quotas.check_network("security_group_rule")
            self.store.put(rule)
        self.guard()
        return rule

    def delete_rule(self, identity: str) -> None:
        self.store.drop(self.rule(identity))
        self.guard()

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

    def set_groups(self, port: Port, groups: list[str]) -> None:
        self.store.put(replace(port, groups=groups, updated=now()))
        self.guard()


def _same(one: Rule, other: Rule) -> bool:
    return replace(other, id=one.id, created=one.created, description=one.description) == one


def _check_protocol(rule: Rule) -> None:
    name = rule.protocol
    if name is not None and rule.ethertype == "IPv4" and name in ("icmpv6", *FOR_IPV6):
        words = f"Invalid ethertype {rule.ethertype} for protocol {name}."
        raise Refused(400, words, "SecurityGroupEthertypeConflictWithProtocol")
    if name is None or name in KNOWN or (name.isdigit() and int(name) <= 255):
        return
    values = ", ".join(map(repr, sorted({*PROTOCOLS, *KNOWN} - {"any"})))
    words = f"Security group rule protocol {name} not supported. Only protocol values [{values}]"
    kind = "SecurityGroupRuleInvalidProtocol"
    raise Refused(400, f"{words} and integer representations [0 to 255] are supported.", kind)


def _check_ports(rule: Rule) -> None:
    low, high = rule.port_min, rule.port_max
    if low is None and high is None:
        return
    if rule.protocol is None:
        words = "Must also specify protocol if port range is given."
        raise Refused(400, words, "SecurityGroupProtocolRequiredWithPorts")
    if rule.protocol in ICMP:
        _check_icmp(low, high)
        return
    if protocol_number(rule.protocol) not in WITH_PORTS:
        words = f"Port range cannot be specified for protocol {rule.protocol}."
        raise Refused(400, f"{words} Port range is only supported for TCP, UDP, UDPLITE, SCTP and DCCP.", PORT_KIND)
    if low is None or high is None or low > high:
        words = "For TCP/UDP protocols, port_range_min must be <= port_range_max"
        raise Refused(400, words, "SecurityGroupInvalidPortRange")
    if not 1 <= low <= high <= 65535:
        raise Refused(400, "Invalid port value. Must be within 1 to 65535.", "SecurityGroupInvalidPortValue")


PORT_KIND = "SecurityGroupInvalidProtocolForPort"


def _check_icmp(kind: int | None, code: int | None) -> None:
    if kind is None:
        words = f"ICMP code (port-range-max) {code} is provided but ICMP type (port-range-min) is missing."
        raise Refused(400, words, "SecurityGroupMissingIcmpType")
    for field, value in (("port-range-min", kind), ("port-range-max", code)):
        if value is not None and not 0 <= value <= 255:
            names = "ICMP type" if field == "port-range-min" else "ICMP code"
            words = f"Invalid value for {names} ({field}) {value}. It must be 0 to 255."
            raise Refused(400, words, "SecurityGroupInvalidIcmpValue")


def _check_prefix(rule: Rule) -> None:
    if rule.prefix is None:
        return
    if rule.remote_group_id:
        words = "Only remote_ip_prefix or remote_group_id or remote_address_group_id may be provided."
        raise Refused(400, words, "SecurityGroupMultipleRemoteEntites")
    try:
        version = ip_network(rule.prefix, strict=False).version
    except ValueError as error:
        words = f"Invalid CIDR {rule.prefix} given as IP prefix."
        raise Refused(400, words, "InvalidCIDR") from error
    if rule.ethertype != f"IPv{version}":
        words = f"Conflicting value ethertype {rule.ethertype} for CIDR {rule.prefix}"
        raise Refused(400, words, "SecurityGroupRuleParameterConflict")
