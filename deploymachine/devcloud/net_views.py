"""Values of the network go in; Neutron's JSON for them comes out."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_network
from typing import Any

from deploymachine.devcloud.api import Cloud, Json
from deploymachine.devcloud.state import (
    OTHERS,
    PROJECT,
    FloatingIP,
    Group,
    Network,
    Port,
    Router,
    Rule,
    Server,
    Subnet,
)


def common(value: Any, project: str = PROJECT) -> Json:
    changed = value.updated if hasattr(value, "updated") else None
    return {
        "project_id": project,
        "tenant_id": project,
        "tags": [],
        "created_at": value.created,
        "updated_at": changed or value.created,
        "revision_number": 1 if changed is None else 2,
    }


def show_network(cloud: Cloud, network: Network) -> Json:
    subnets = [subnet.id for subnet in cloud.networking.subnets(network.id)]
    return {
        "id": network.id,
        "name": network.name,
        "admin_state_up": network.admin_up,
        "mtu": cloud.layout.mtu,
        "status": "ACTIVE",
        "subnets": subnets,
        "shared": False,
        "port_security_enabled": network.secure,
        "router:external": network.external,
        "vlan_transparent": False,
        "qinq": False,
        "availability_zone_hints": [],
        "availability_zones": ["nova"] if subnets else [],
        "ipv4_address_scope": None,
        "ipv6_address_scope": None,
        "description": network.description,
        **({"is_default": False} if network.external else {}),
        **common(network, OTHERS if network.external else PROJECT),
    }


def show_subnet(cloud: Cloud, subnet: Subnet) -> Json:
    external = cloud.networking.network(subnet.network_id).external
    return {
        "id": subnet.id,
        "name": subnet.name,
        "network_id": subnet.network_id,
        "ip_version": 4,
        "subnetpool_id": None,
        "enable_dhcp": subnet.dhcp,
        "ipv6_ra_mode": None,
        "ipv6_address_mode": None,
        "gateway_ip": subnet.gateway or None,
        "cidr": subnet.cidr,
        "allocation_pools": [{"start": first, "end": last} for first, last in pools(subnet)],
        "host_routes": [],
        "dns_nameservers": subnet.nameservers,
        "description": subnet.description,
        "router:external": external,
        "service_types": [],
        **common(subnet, OTHERS if external else PROJECT),
    }


def pools(subnet: Subnet) -> list[list[str]]:
    """Those asked for; else all but the gateway, as Neutron splits what is left around it."""
    if subnet.pools:
        return subnet.pools
    hosts = IPv4Network(subnet.cidr)
    first, last = hosts[1], hosts[-2]
    if not subnet.gateway:
        return [[str(first), str(last)]]
    gateway = hosts[int(IPv4Network(subnet.gateway)[0]) - int(hosts[0])]
    parts = [(first, gateway - 1), (gateway + 1, last)]
    return [[str(low), str(high)] for low, high in parts if low <= high]


def show_port(cloud: Cloud, port: Port) -> Json:
    return {
        "id": port.id,
        "name": port.name,
        "network_id": port.network_id,
        "mac_address": port.mac,
        "admin_state_up": port.admin_up,
        "status": status_of(cloud, port),
        "device_id": port.device_id,
        "device_owner": port.owner,
        "fixed_ips": [{"subnet_id": port.subnet_id, "ip_address": port.address}],
        "port_security_enabled": port.secure,
        "security_groups": port.groups,
        "binding:vnic_type": "normal",
        "allowed_address_pairs": [{"ip_address": address, "mac_address": mac} for mac, address in port.pairs],
        "extra_dhcp_opts": [],
        "description": port.description,
        **common(port),
    }


def status_of(cloud: Cloud, port: Port) -> str:
    if not port.number:
        return "ACTIVE"
    server = cloud.store.get(Server, port.device_id)
    return "ACTIVE" if server and server.vm_state == "active" and port.admin_up else "DOWN"


def show_router(cloud: Cloud, router: Router) -> Json:
    gateway = None
    if router.external_id:
        subnet = next((one.id for one in cloud.networking.subnets(router.external_id)), None)
        fixed = [{"subnet_id": subnet, "ip_address": router.address}]
        gateway = {"network_id": router.external_id, "external_fixed_ips": fixed, "enable_snat": True}
    return {
        "id": router.id,
        "name": router.name,
        "admin_state_up": router.admin_up,
        "status": "ACTIVE",
        "external_gateway_info": gateway,
        "description": router.description,
        "availability_zones": ["nova"] if cloud.networking.interfaces(router.id) else [],
        "availability_zone_hints": [],
        "routes": [],
        "flavor_id": None,
        **common(router),
    }


def show_interface(router_id: str, port: Port) -> Json:
    """What adding and removing a router's interface answers."""
    facts = {"port_id": port.id, "network_id": port.network_id, "subnet_id": port.subnet_id}
    return {"id": router_id, "project_id": PROJECT, **facts, "subnet_ids": [port.subnet_id]}


def show_rule(_cloud: Cloud, rule: Rule) -> Json:
    shown = {
        "id": rule.id,
        "security_group_id": rule.group_id,
        "ethertype": rule.ethertype,
        "direction": rule.direction,
        "protocol": rule.protocol,
        "port_range_min": rule.port_min,
        "port_range_max": rule.port_max,
        "remote_ip_prefix": rule.prefix,
        "remote_address_group_id": None,
        "normalized_cidr": str(ip_network(rule.prefix, strict=False)) if rule.prefix else None,
        "remote_group_id": rule.remote_group_id,
        "belongs_to_default_sg": False,
        "description": rule.description,
        **common(rule),
        "revision_number": 0,
    }
    del shown["tags"]
    return shown


def show_group(cloud: Cloud, group: Group) -> Json:
    rules = [{**show_rule(cloud, rule), "tags": []} for rule in cloud.networking.rules(group.id)]
    return {
        "id": group.id,
        "name": group.name,
        "stateful": True,
        "description": group.description,
        "shared": False,
        "security_group_rules": rules,
        **common(group),
    }


def show_floating(cloud: Cloud, floating: FloatingIP) -> Json:
    port = cloud.store.get(Port, floating.port_id)
    details = ("name", "network_id", "mac_address", "admin_state_up", "status", "device_id", "device_owner")
    shown = show_port(cloud, port) if port else {}
    router = cloud.networking.router_between(floating.network_id, port.subnet_id) if port else None
    return {
        "id": floating.id,
        "floating_ip_address": floating.address,
        "floating_network_id": floating.network_id,
        "router_id": router.id if router else None,
        "port_id": floating.port_id,
        "fixed_ip_address": port.address if port else None,
        "status": "ACTIVE" if port else "DOWN",
        "description": floating.description,
        "port_details": {name: shown[name] for name in details} if port else None,
        **common(floating),
    }
