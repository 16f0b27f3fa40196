"""Neutron v2.0: networks, subnets, ports, routers, security groups and rules, floating addresses, quotas."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from deploymachine.devcloud import net_bodies as bodies
from deploymachine.devcloud import net_views as views
from deploymachine.devcloud.api import Cloud, Json, body_of, guard, sent
from deploymachine.devcloud.net_collection import Collection
from deploymachine.devcloud.net_extensions import EXTENSIONS
from deploymachine.devcloud.state import FloatingIP, Group, Network, Port, Refused, Router, Rule, Subnet


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

    @api.route("/v2.0/<path:_rest>", methods=["GET", "POST", "PUT", "DELETE"])
    @api.get("/v2.0")
    def nothing(_rest: str = "") -> Json:
        raise Refused(404, "The resource could not be found.", "HTTPNotFound")

    for collection in COLLECTIONS:
        collection.register(api, cloud)
    _extension_routes(api)
    _router_routes(api, cloud)
    _quota_routes(api, cloud)
    return api


def _extension_routes(api: Blueprint) -> None:
    @api.get("/v2.0/extensions")
    def extensions() -> Json:
        return {"extensions": EXTENSIONS}

    @api.get("/v2.0/extensions/<alias>")
    def extension(alias: str) -> Json:
        found = next((one for one in EXTENSIONS if one["alias"] == alias), None)
        if found is None:
            raise Refused(404, "The resource could not be found.", "HTTPNotFound")
        return {"extension": found}

    @api.get("/v2.0/availability_zones")
    def zones() -> Json:
        facts = {"name": "nova", "state": "available"}
        return {"availability_zones": [{**facts, "resource": resource} for resource in ("network", "router")]}


def _router_routes(api: Blueprint, cloud: Cloud) -> None:
    def asked() -> tuple[str | None, str | None]:
        body = sent()
        return body.get("subnet_id"), body.get("port_id")

    @api.put("/v2.0/routers/<identity>/add_router_interface")
    def add(identity: str) -> Json:
        return views.show_interface(identity, cloud.networking.add_interface(identity, *asked()))

    @api.put("/v2.0/routers/<identity>/remove_router_interface")
    def remove(identity: str) -> Json:
        return views.show_interface(identity, cloud.networking.remove_interface(identity, *asked()))


def _quota_routes(api: Blueprint, cloud: Cloud) -> None:
    quotas = cloud.networking.quotas

    @api.get("/v2.0/quotas")
    def changed() -> Json:
        return {"quotas": []}

    @api.get("/v2.0/quotas/<_project>")
    def show(_project: str) -> Json:
        return {"quota": quotas.limits("network")}

    @api.get("/v2.0/quotas/<_project>/default")
    def default(_project: str) -> Json:
        return {"quota": quotas.defaults("network")}

    @api.get("/v2.0/quotas/<_project>/details")
    @api.get("/v2.0/quotas/<_project>/details.json")
    def details(_project: str) -> Json:
        used = quotas.used("network")
        limits = quotas.limits("network").items()
        return {"quota": {name: {"limit": limit, "used": used[name], "reserved": 0} for name, limit in limits}}

    @api.put("/v2.0/quotas/<_project>")
    def change(_project: str) -> Json:
        quotas.change_network(body_of("quota"))
        return {"quota": quotas.limits("network")}

    @api.delete("/v2.0/quotas/<_project>")
    def reset(_project: str) -> tuple[str, int]:
        quotas.reset("network")
        return "", 204


COLLECTIONS = (
    Collection(
        "networks",
        Network,
        views.show_network,
        create=bodies.create_network,
        update=bodies.update_network,
        delete="delete_network",
        posts="name description admin_state_up port_security_enabled router:external shared is_default mtu"
        " availability_zone_hints tenant_id project_id",
        puts="name description admin_state_up port_security_enabled router:external shared is_default mtu",
    ),
    Collection(
        "subnets",
        Subnet,
        views.show_subnet,
        create=bodies.create_subnet,
        update=bodies.update_subnet,
        delete="delete_subnet",
        posts="name description network_id ip_version cidr gateway_ip enable_dhcp dns_nameservers allocation_pools"
        " host_routes tenant_id project_id",
        puts="name description gateway_ip enable_dhcp dns_nameservers allocation_pools host_routes",
    ),
    Collection(
        "ports",
        Port,
        views.show_port,
        create=bodies.create_port,
        update=bodies.update_port,
        delete="delete_port",
        posts="name description network_id fixed_ips security_groups allowed_address_pairs admin_state_up mac_address"
        " port_security_enabled device_id device_owner binding:vnic_type extra_dhcp_opts tenant_id project_id",
        puts="name description fixed_ips security_groups allowed_address_pairs admin_state_up mac_address"
        " port_security_enabled device_id device_owner binding:vnic_type extra_dhcp_opts",
    ),
    Collection(
        "routers",
        Router,
        views.show_router,
        create=bodies.create_router,
        update=bodies.update_router,
        delete="delete_router",
        posts="name description admin_state_up external_gateway_info availability_zone_hints tenant_id project_id",
        puts="name description admin_state_up external_gateway_info",
    ),
    Collection(
        "security-groups",
        Group,
        views.show_group,
        create=bodies.create_group,
        update=bodies.update_group,
        delete="delete_group",
        posts="name description stateful tenant_id project_id",
        puts="name description",
    ),
    Collection(
        "security-group-rules",
        Rule,
        views.show_rule,
        create=bodies.create_rule,
        delete="delete_rule",
        posts="security_group_id direction ethertype protocol port_range_min port_range_max remote_ip_prefix"
        " remote_group_id remote_address_group_id description tenant_id project_id",
    ),
    Collection(
        "floatingips",
        FloatingIP,
        views.show_floating,
        create=bodies.create_floating,
        update=bodies.update_floating,
        delete="delete_floating",
        posts="floating_network_id port_id fixed_ip_address floating_ip_address description subnet_id tenant_id"
        " project_id",
        puts="port_id fixed_ip_address description",
    ),
)
