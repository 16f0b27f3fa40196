"""The body of a request to Neutron goes in, checked as Neutron checks it; changes to our values come out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from deploymachine.devcloud.networking import Networking
from deploymachine.devcloud.state import FloatingIP, Group, Network, Port, Refused, Router, Rule, Subnet, new_id

Json = dict[str, Any]
MAC = re.compile(r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}")


def invalid(name: str, reason: str) -> Refused:
    return Refused(400, f"Invalid input for {name}. Reason: {reason}", "HTTPBadRequest")


def text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise invalid(name, f"'{value}' is not a valid string.")
    if len(value) > 255:
        raise invalid(name, f"'{value}' exceeds maximum length of 255.")
    return value


def flag(name: str, value: object) -> bool:
    words = {"true": True, "1": True, "false": False, "0": False}
    if str(value).lower() not in words:
        raise invalid(name, f"'{value}' cannot be converted to boolean.")
    return words[str(value).lower()]


def texts(name: str, value: object) -> list[str]:
    if not isinstance(value, list):
        raise invalid(name, f"'{value}' is not a list.")
    return [text(name, one) for one in value]


def number(value: object) -> int | None:
    """As Neutron reads ports: -1 is none."""
    if value in (None, "", -1, "-1"):
        return None
    try:
        return int(str(value))
    except ValueError as error:
        raise Refused(400, f"Invalid value for port {value}", "SecurityGroupInvalidPortValue") from error


Reader = Callable[[str, Any], Any]
PLAIN: dict[str, tuple[str, Reader]] = {  # of the body: of our values
    "name": ("name", text),
    "description": ("description", text),
    "admin_state_up": ("admin_up", flag),
    "port_security_enabled": ("secure", flag),
    "enable_dhcp": ("dhcp", flag),
    "dns_nameservers": ("nameservers", texts),
}


def plain(body: Json) -> Json:
    """What of a body needs no thought."""
    wanted = {field: value for field, value in body.items() if field in PLAIN}
    return {PLAIN[field][0]: PLAIN[field][1](field, value) for field, value in wanted.items()}


def required(body: Json, name: str) -> Any:
    if name not in body:
        words = f"Failed to parse request. Required attribute '{name}' not specified"
        raise Refused(400, words, "HTTPBadRequest")
    return body[name]


def only_admins(kind: str, verb: str, body: Json, harmless: Mapping[str, Any]) -> None:
    """Refuse what only an administrator may ask for."""
    for name, default in harmless.items():
        if body.get(name, default) != default:
            raise Refused(403, f"(rule:{verb}_{kind}:{name}) is disallowed by policy", "PolicyNotAuthorized")


# networks and subnets


def create_network(networking: Networking, body: Json) -> Network:
    only_admins("network", "create", body, {"router:external": False, "shared": False, "is_default": False})
    facts = plain(body)
    return networking.create_network(facts.pop("name", ""), **facts)


def update_network(networking: Networking, identity: str, body: Json) -> Network:
    only_admins("network", "update", body, {"router:external": False, "shared": False, "is_default": False})
    return networking.update_network(identity, **plain(body))


def create_subnet(networking: Networking, body: Json) -> Subnet:
    network_id = text("network_id", required(body, "network_id"))
    if str(required(body, "ip_version")) != "4":
        raise Refused(400, "Invalid input for operation: devcloud has IPv4 only.", "InvalidInput")
    cidr = text("cidr", required(body, "cidr"))
    facts = plain(body)
    if body.get("allocation_pools"):
        facts["pools"] = pools(body["allocation_pools"])
    return networking.create_subnet(network_id, cidr, facts.pop("name", ""), gateway(body), **facts)


def update_subnet(networking: Networking, identity: str, body: Json) -> Subnet:
    changes = plain(body)
    if "gateway_ip" in body:
        changes["gateway"] = gateway(body)
    if "allocation_pools" in body:
        changes["pools"] = pools(body["allocation_pools"])
    return networking.update_subnet(identity, **changes)


def gateway(body: Json) -> str | None:
    """None: not said. "": none wanted."""
    if "gateway_ip" not in body:
        return None
    return text("gateway_ip", body["gateway_ip"] or "")


def pools(asked: object) -> list[list[str]]:
    if not isinstance(asked, list) or not all(isinstance(one, dict) for one in asked):
        raise invalid("allocation_pools", f"Invalid data format for IP pool: '{asked}'.")
    found = [[str(one.get("start")), str(one.get("end"))] for one in asked]
    for address in (address for pair in found for address in pair):
        try:
            IPv4Address(address)
        except ValueError as error:
            raise invalid("allocation_pools", f"'{address}' is not a valid IP address.") from error
    return found


# ports


def create_port(networking: Networking, body: Json) -> Port:
    facts = port_facts(body)
    fixed = fixed_ip(body)
    if body.get("mac_address"):
        facts["mac"] = mac("mac_address", body["mac_address"])
    facts["pairs"] = pairs(body.get("allowed_address_pairs") or (), facts.get("mac", ""))
    made = networking.create_port(
        text("network_id", required(body, "network_id")),
        address=fixed.get("ip_address"),
        subnet_id=fixed.get("subnet_id"),
        groups=None if body.get("security_groups") is None else texts("security_groups", body["security_groups"]),
        **facts,
    )
    own = [[mac_or_own or made.mac, address] for mac_or_own, address in made.pairs]
    return networking.update_port(made.id, pairs=own) if own else made


def update_port(networking: Networking, identity: str, body: Json) -> Port:
    port = networking.port(identity)
    changes = port_facts(body)
    if "security_groups" in body:
        changes["groups"] = texts("security_groups", body["security_groups"] or [])
    if "allowed_address_pairs" in body:
        changes["pairs"] = pairs(body["allowed_address_pairs"] or (), port.mac)
    if body.get("mac_address", port.mac) != port.mac:
        changes["mac"] = mac("mac_address", body["mac_address"])
    fixed = fixed_ip(body)
    if fixed.get("ip_address", port.address) != port.address:
        changes["address"] = fixed["ip_address"]
        changes["subnet_id"] = fixed.get("subnet_id", port.subnet_id)
    return networking.update_port(identity, **changes)


def port_facts(body: Json) -> Json:
    facts = plain(body)
    if "device_owner" in body:
        facts["owner"] = text("device_owner", body["device_owner"])
    if "device_id" in body:
        facts["device_id"] = text("device_id", body["device_id"])
    return facts


def fixed_ip(body: Json) -> dict[str, str]:
    asked = body.get("fixed_ips") or [{}]
    if not isinstance(asked, list) or not all(isinstance(one, dict) for one in asked):
        raise invalid("fixed_ips", f"Invalid data format for fixed IP: '{asked}'.")
    if len(asked) > 1:
        raise Refused(400, "Invalid input for operation: devcloud gives a port one address.", "InvalidInput")
    return {name: text("fixed_ips", value) for name, value in asked[0].items() if value}


def mac(name: str, value: object) -> str:
    if not MAC.fullmatch(str(value)):
        raise invalid(name, f"'{value}' is not a valid MAC address.")
    return str(value).lower()


def pairs(asked: object, own: str) -> list[list[str]]:
    """Each a MAC and an address or CIDR. own: the MAC where none is named."""
    if not isinstance(asked, list | tuple):
        raise invalid("allowed_address_pairs", "Allowed address pairs must be a list.")
    found: list[list[str]] = []
    for one in asked:
        if not isinstance(one, dict) or "ip_address" not in one:
            raise Refused(400, "AllowedAddressPair must contain ip_address", "AllowedAddressPairsMissingIP")
        try:
            address = str(IPv4Network(one["ip_address"])).removesuffix("/32")
        except ValueError as error:
            raise invalid("allowed_address_pairs", f"'{one['ip_address']}' is not a valid IP subnet.") from error
        pair = [mac("mac_address", one["mac_address"]) if one.get("mac_address") else own, address]
        if pair in found:
            words = "Request contains duplicate address pair:"
            raise Refused(400, f"{words} mac_address {pair[0]} ip_address {address}.", "DuplicateAddressPairInRequest")
        found.append(pair)
    return found


# routers


def create_router(networking: Networking, body: Json) -> Router:
    facts = plain(body)
    return networking.create_router(facts.pop("name", ""), external(body.get("external_gateway_info")), **facts)


def update_router(networking: Networking, identity: str, body: Json) -> Router:
    changes = plain(body)
    if "external_gateway_info" in body:
        changes["external_id"] = external(body["external_gateway_info"])
    return networking.update_router(identity, **changes)


def external(info: Json | None) -> str | None:
    if not info:
        return None
    if not isinstance(info, dict):
        raise invalid("external_gateway_info", f"'{info}' is not a dictionary.")
    if "enable_snat" in info or info.get("external_fixed_ips"):
        name = "enable_snat" if "enable_snat" in info else "external_fixed_ips"
        words = f"(rule:create_router:external_gateway_info:{name}) is disallowed by policy"
        raise Refused(403, words, "PolicyNotAuthorized")
    if "network_id" not in info:
        raise invalid("external_gateway_info", "Validation of dictionary's keys failed.")
    return text("network_id", info["network_id"])


# security groups


def create_group(networking: Networking, body: Json) -> Group:
    facts = plain(body)
    return networking.create_group(facts.get("name", ""), facts.get("description", ""))


def update_group(networking: Networking, identity: str, body: Json) -> Group:
    return networking.update_group(identity, **plain(body))


def create_rule(networking: Networking, body: Json) -> Rule:
    protocol = body.get("protocol")
    direction = text("direction", required(body, "direction"))
    ethertype = body.get("ethertype") or "IPv4"
    if direction not in ("ingress", "egress"):
        raise invalid("direction", f"'{direction}' is not in ['ingress', 'egress'].")
    if ethertype not in ("IPv4", "IPv6"):
        words = f"Security group rule for ethertype '{ethertype}' not supported. Allowed values are ['IPv4', 'IPv6']."
        raise Refused(400, words, "SecurityGroupRuleInvalidEtherType")
    rule = Rule(
        id=new_id(),
        group_id=text("security_group_id", required(body, "security_group_id")),
        direction=direction,
        ethertype=ethertype,
        protocol=None if protocol in (None, "any", "") else str(protocol).lower(),
        port_min=number(body.get("port_range_min")),
        port_max=number(body.get("port_range_max")),
        prefix=body.get("remote_ip_prefix") or None,
        remote_group_id=body.get("remote_group_id") or None,
        description=text("description", body.get("description") or ""),
    )
    return networking.create_rule(rule)


# floating addresses


def create_floating(networking: Networking, body: Json) -> FloatingIP:
    return networking.create_floating(
        text("floating_network_id", required(body, "floating_network_id")),
        body.get("port_id"),
        text("description", body.get("description") or ""),
        address=body.get("floating_ip_address"),
        fixed=body.get("fixed_ip_address"),
    )


def update_floating(networking: Networking, identity: str, body: Json) -> FloatingIP:
    """What it does not name stays as it is."""
    if "description" in body:
        networking.describe_floating(identity, text("description", body["description"]))
    if "port_id" in body or "fixed_ip_address" in body:
        return networking.associate(identity, body.get("port_id"), body.get("fixed_ip_address"))
    return networking.floating(identity)
