"""Neutron v2.0: networks, subnets, ports, security groups and rules, floating addresses, quotas."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Any

from flask import Blueprint, Response, jsonify

from deploymachine.devcloud.api import Cloud, Json, body_of, filtered, guard, page
from deploymachine.devcloud.networking import Networking
from deploymachine.devcloud.state import (
    PROJECT,
    FloatingIP,
    Group,
    Network,
    Port,
    Refused,
    Rule,
    Server,
    Subnet,
    Value,
    builtin_id,
    new_id,
)

EXTENSIONS = ("router", "security-group", "quotas", "standard-attr-timestamp", "external-net", "port-security")
QUOTA = {"network": 100, "subnet": 100, "port": 500, "router": 10, "floatingip": 50, "security_group": 100}


def blueprint(cloud: Cloud) -> Blueprint:
    api = Blueprint("network", __name__, url_prefix="/network")
    guard(api, cloud, "versions")

    @api.errorhandler(Refused)
    def refused(error: Refused) -> tuple[Response, int]:
        kind = error.kind or "HTTPBadRequest"
        return jsonify(NeutronError={"type": kind, "message": error.message, "detail": ""}), error.status

    @api.get("/")
    def versions() -> Json:
        link = [{"rel": "self", "href": f"{cloud.layout.url}/network/v2.0/"}]
        return {"versions": [{"id": "v2.0", "status": "CURRENT", "links": link}]}

    @api.get("/v2.0/extensions")
    def extensions() -> Json:
        return {"extensions": [{"alias": alias, "name": alias, "description": "", "links": []} for alias in EXTENSIONS]}

    @api.get("/v2.0/quotas/<_project>")
    def quotas(_project: str) -> Json:
        return {"quota": QUOTA}

    @api.route("/v2.0/<path:_rest>", methods=["GET", "POST", "PUT", "DELETE"])
    @api.get("/v2.0")
    def nothing(_rest: str = "") -> Json:
        raise Refused(404, "The resource could not be found.", "HTTPNotFound")

    for collection in COLLECTIONS:
        collection.register(api, cloud)
    return api


class Collection:
    """Five routes of one kind: list, show, create, update, delete; None where there is none."""

    def __init__(
        self,
        name: str,
        kind: type[Any],
        show: Callable[[Cloud, Any], Json],
        create: Callable[[Networking, Json], Value] | None = None,
        update: Callable[[Networking, str, Json], Value] | None = None,
        delete: str = "",
        one: str = "",
    ) -> None:
        self.name, self.kind, self.show = name, kind, show
        self.create, self.update, self.delete, self.one = create, update, delete, one

    def register(self, api: Blueprint, cloud: Cloud) -> None:
        plural = self.name.replace("-", "_")
        singular = plural[:-1]
        networking = cloud.networking

        def listing() -> Json:
            return {plural: page(filtered([self.show(cloud, value) for value in cloud.store.all(self.kind)]))}

        def showing(identity: str) -> Json:
            return {singular: self.show(cloud, getattr(networking, self.one)(identity))}

        def creating() -> tuple[Json, int]:
            assert self.create is not None  # noqa: S101 - for the type checker; registered only then
            return {singular: self.show(cloud, self.create(networking, body_of(singular)))}, 201

        def updating(identity: str) -> Json:
            assert self.update is not None  # noqa: S101 - as above
            return {singular: self.show(cloud, self.update(networking, identity, body_of(singular)))}

        def deleting(identity: str) -> tuple[str, int]:
            getattr(networking, self.delete)(identity)
            return "", 204

        path, item = f"/v2.0/{self.name}", f"/v2.0/{self.name}/<identity>"
        api.add_url_rule(path, f"list_{plural}", listing)
        api.add_url_rule(item, f"show_{plural}", showing)
        if self.create:
            api.add_url_rule(path, f"create_{plural}", creating, methods=["POST"])
        if self.update:
            api.add_url_rule(item, f"update_{plural}", updating, methods=["PUT"])
        if self.delete:
            api.add_url_rule(item, f"delete_{plural}", deleting, methods=["DELETE"])


def common(value: Any) -> Json:
    return {
        "project_id": PROJECT,
        "tenant_id": PROJECT,
        "tags": [],
        "created_at": value.created,
        "updated_at": value.created,
        "revision_number": 1,
    }


def show_network(cloud: Cloud, network: Network) -> Json:
    return {
        "id": network.id,
        "name": network.name,
        "admin_state_up": True,
        "mtu": cloud.layout.mtu,
        "status": "ACTIVE",
        "subnets": [subnet.id for subnet in cloud.networking.subnets(network.id)],
        "shared": False,
        "port_security_enabled": True,
        "router:external": network.external,
        "is_default": network.external,
        "availability_zone_hints": [],
        "availability_zones": ["nova"],
        "ipv4_address_scope": None,
        "ipv6_address_scope": None,
        "description": "",
        **common(network),
    }


def show_subnet(cloud: Cloud, subnet: Subnet) -> Json:
    hosts = list(IPv4Network(subnet.cidr).hosts())
    external = cloud.networking.network(subnet.network_id).external
    return {
        "id": subnet.id,
        "name": subnet.name,
        "network_id": subnet.network_id,
        "ip_version": 4,
        "subnetpool_id": None,
        "enable_dhcp": not external,
        "ipv6_ra_mode": None,
        "ipv6_address_mode": None,
        "gateway_ip": subnet.gateway,
        "cidr": subnet.cidr,
        "allocation_pools": [{"start": str(hosts[1]), "end": str(hosts[-1])}],
        "host_routes": [],
        "dns_nameservers": [],
        "description": "",
        "router:external": external,
        "service_types": [],
        **common(subnet),
    }


def show_port(cloud: Cloud, port: Port) -> Json:
    server = cloud.store.get(Server, port.device_id)
    return {
        "id": port.id,
        "name": port.name,
        "network_id": port.network_id,
        "mac_address": port.mac,
        "admin_state_up": True,
        "status": "ACTIVE" if server and server.vm_state == "active" else "DOWN",
        "device_id": port.device_id,
        "device_owner": "compute:nova" if port.device_id else "",
        "fixed_ips": [{"subnet_id": port.subnet_id, "ip_address": port.address}],
        "allowed_address_pairs": [],
        "extra_dhcp_opts": [],
        "security_groups": port.groups,
        "description": "",
        "binding:vnic_type": "normal",
        "port_security_enabled": True,
        **common(port),
    }


def show_rule(_cloud: Cloud, rule: Rule) -> Json:
    return {
        "id": rule.id,
        "security_group_id": rule.group_id,
        "ethertype": rule.ethertype,
        "direction": rule.direction,
        "protocol": rule.protocol,
        "port_range_min": rule.port_min,
        "port_range_max": rule.port_max,
        "remote_ip_prefix": rule.prefix,
        "remote_address_group_id": None,
        "normalized_cidr": rule.prefix,
        "remote_group_id": rule.remote_group_id,
        "belongs_to_default_sg": False,
        "description": rule.description,
        **common(rule),
    }


def show_group(cloud: Cloud, group: Group) -> Json:
    return {
        "id": group.id,
        "name": group.name,
        "stateful": True,
        "description": group.description,
        "shared": False,
        "security_group_rules": [show_rule(cloud, rule) for rule in cloud.networking.rules(group.id)],
        **common(group),
    }


def show_floating(cloud: Cloud, floating: FloatingIP) -> Json:
    port = cloud.store.get(Port, floating.port_id)
    details = ("name", "network_id", "mac_address", "admin_state_up", "status", "device_id", "device_owner")
    shown = show_port(cloud, port) if port else {}
    return {
        "id": floating.id,
        "floating_ip_address": floating.address,
        "floating_network_id": floating.network_id,
        "router_id": builtin_id("router") if port else None,
        "port_id": floating.port_id,
        "fixed_ip_address": port.address if port else None,
        "status": "ACTIVE" if port else "DOWN",
        "description": floating.description,
        "port_details": {name: shown[name] for name in details} if port else None,
        **common(floating),
    }


def create_subnet(networking: Networking, body: Json) -> Value:
    cidr = body.get("cidr", "")
    return networking.create_subnet(body.get("network_id", ""), cidr, body.get("name", ""), body.get("gateway_ip"))


def create_port(networking: Networking, body: Json) -> Value:
    fixed = body.get("fixed_ips") or [{}]
    return networking.create_port(
        body.get("network_id", ""),
        address=fixed[0].get("ip_address"),
        groups=body.get("security_groups"),
        name=body.get("name", ""),
    )


def create_rule(networking: Networking, body: Json) -> Value:
    protocol = body.get("protocol")
    rule = Rule(
        id=new_id(),
        group_id=body.get("security_group_id", ""),
        direction=body.get("direction", "ingress"),
        ethertype=body.get("ethertype") or "IPv4",
        protocol=None if protocol in (None, "any") else str(protocol),
        port_min=body.get("port_range_min"),
        port_max=body.get("port_range_max"),
        prefix=body.get("remote_ip_prefix"),
        remote_group_id=body.get("remote_group_id"),
        description=body.get("description", ""),
    )
    return networking.create_rule(rule)


def create_floating(networking: Networking, body: Json) -> Value:
    network = body.get("floating_network_id", "")
    return networking.create_floating(network, body.get("port_id"), body.get("description", ""))


COLLECTIONS = (
    Collection(
        "networks",
        Network,
        show_network,
        create=lambda networking, body: networking.create_network(body.get("name", "")),
        delete="delete_network",
        one="network",
    ),
    Collection("subnets", Subnet, show_subnet, create=create_subnet, delete="delete_subnet", one="subnet"),
    Collection("ports", Port, show_port, create=create_port, delete="delete_port", one="port"),
    Collection(
        "security-groups",
        Group,
        show_group,
        create=lambda networking, body: networking.create_group(body.get("name", ""), body.get("description", "")),
        delete="delete_group",
        one="group",
    ),
    Collection("security-group-rules", Rule, show_rule, create=create_rule, delete="delete_rule", one="rule"),
    Collection(
        "floatingips",
        FloatingIP,
        show_floating,
        create=create_floating,
        update=lambda networking, identity, body: networking.associate(identity, body.get("port_id")),
        delete="delete_floating",
        one="floating",
    ),
)
