"""Neutron's networks as plain data and the numbers of the machines' links go in; devcloud's wiring comes out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any

from deploymachine.devcloud.firewall import Guard, Wire, Wiring, Zone
from deploymachine.devcloud.state import Rule

# "subnets": [{"cidr", "gateway", "outside"}], "ports": [{"mac", "address", "cidr", "groups"}],
# "groups": [{"id", "rules": [fields of Rule], "members": [addresses]}], "floating": [[outer, inner]]
Networks = dict[str, list[Any]]


def wiring(networks: Networks, numbers: Mapping[str, int], floating: str) -> Wiring:
    """numbers: MAC -> number of the link. floating: CIDR of the floating addresses, whose first one is the host's."""
    outer = IPv4Network(floating)
    subnets = networks.get("subnets", [])
    ports = [port for port in networks.get("ports", []) if port["mac"] in numbers]
    return Wiring(
        # machines have a route each, the floating addresses one for all
        gateways=(f"{outer[1]}/{outer.prefixlen}", *(f"{one['gateway']}/32" for one in subnets if one["gateway"])),
        zones=tuple(Zone(one["cidr"], outside=one["outside"]) for one in subnets),
        wires=tuple(_wire(port, numbers[port["mac"]]) for port in ports),
        guards=tuple(_guard(group) for group in networks.get("groups", [])),
        floating=tuple((outside, inside) for outside, inside in networks.get("floating", [])),
        outer=(floating,),
        front=str(outer[1]),
    )


def _wire(port: Mapping[str, Any], number: int) -> Wire:
    return Wire(number, port["cidr"], ((port["mac"], port["address"]),), tuple(port["groups"]))


def _guard(group: Mapping[str, Any]) -> Guard:
    return Guard(group["id"], tuple(Rule(**rule) for rule in group["rules"]), tuple(group["members"]))
