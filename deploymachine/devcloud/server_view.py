"""A server goes in; what Nova tells of it, in the words of the request's microversion, comes out."""

from __future__ import annotations

import hashlib
import re

from deploymachine.devcloud import scheduler
from deploymachine.devcloud.api import Cloud, Json
from deploymachine.devcloud.api_compute import at_least, links
from deploymachine.devcloud.assets import ServerGroup
from deploymachine.devcloud.state import PROJECT, USER, FloatingIP, Group, Network, Port, Server

KNOWN = re.compile(r"(hw|img|os)_(?!version)")  # of an image's properties those that Nova makes use of
PROGRESSING = {"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE"}


def brief_server(cloud: Cloud, server: Server) -> Json:
    return {"id": server.id, "name": server.name, "links": links(cloud, "servers", server.id)}


def show_server(cloud: Cloud, server: Server, *, listed: bool = False) -> Json:
    """Nova's whole view; what a server has only once a host took it is empty before. listed: among others."""
    placed = server.task_state != "scheduling" and bool(server.host)
    shown: Json = {
        "accessIPv4": "",
        "accessIPv6": "",
        "addresses": addresses(cloud, server) if placed and server.vm_state != "building" else {},
        "created": server.created,
        "flavor": embedded_flavor(cloud, server),
        "hostId": hashlib.sha224(f"{PROJECT}{server.host}".encode()).hexdigest() if placed else "",
        "id": server.id,
        "image": embedded_image(cloud, server),
        "links": links(cloud, "servers", server.id),
        "metadata": server.metadata,
        "name": server.name,
        "status": server.status,
        "tenant_id": PROJECT,
        "user_id": USER,
        "updated": server.updated,
        "OS-DCF:diskConfig": "MANUAL",
        "OS-EXT-AZ:availability_zone": scheduler.zone_of(server) if placed else "",
        "config_drive": "True" if server.config_drive else "",
        "key_name": server.key_name,
        "OS-SRV-USG:launched_at": server.launched and server.launched.rstrip("Z") + ".000000",
        "OS-SRV-USG:terminated_at": None,
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:vm_state": server.vm_state,
        "OS-EXT-STS:power_state": server.power_state,
        "os-extended-volumes:volumes_attached": volumes_attached(cloud, server),
        **newer_facts(cloud, server),
    }
    if server.status in PROGRESSING:
        shown["progress"] = 0
    if placed:
        names = {group.id: group.name for group in cloud.store.all(Group)}
        ports = cloud.networking.ports(server)
        shown["security_groups"] = [{"name": names[one]} for port in ports for one in port.groups if one in names]
    if listed:
        shown.pop("server_groups", None)
    if server.fault is not None:
        shown["fault"] = {"code": 500, "created": server.updated, "message": server.fault}
    return shown


def newer_facts(cloud: Cloud, server: Server) -> Json:
    """What later microversions added."""
    grouped = [group.id for group in cloud.store.all(ServerGroup) if scheduler.member(server, group)]
    facts: list[tuple[int, Json]] = [
        (9, {"locked": server.locked}),
        (19, {"description": server.description}),
        (26, {"tags": server.tags}),
        (63, {"trusted_image_certificates": None}),
        (71, {"server_groups": grouped}),
        (73, {"locked_reason": server.locked_reason}),
        (90, {"OS-EXT-SRV-ATTR:hostname": server.hostname}),
        (96, {"pinned_availability_zone": server.zone_asked}),
        (100, {"scheduler_hints": {name: [hint] for name, hint in server.hints.items()}}),
    ]
    return {name: value for minor, added in facts if at_least(minor) for name, value in added.items()}


def embedded_image(cloud: Cloud, server: Server) -> Json | str:
    """ "" for a server whose root disk is a volume."""
    if not server.image_id:
        return ""
    shown: Json = {"id": server.image_id, "links": [links(cloud, "images", server.image_id)[1]]}
    if at_least(98):
        properties = cloud.compute.image(server.image_id).properties
        shown["properties"] = {name: value for name, value in properties.items() if KNOWN.match(name)}
    return shown


def volumes_attached(cloud: Cloud, server: Server) -> list[Json]:
    attached = cloud.volumes.attachments(server=server.id)
    if not at_least(3):
        return [{"id": one.volume_id} for one in attached]
    return [{"id": one.volume_id, "delete_on_termination": one.ends_with_server} for one in attached]


def embedded_flavor(cloud: Cloud, server: Server) -> Json:
    flavor = cloud.compute.flavor(server.flavor_id)
    if not at_least(47):
        return {"id": flavor.id, "links": [links(cloud, "flavors", flavor.id)[1]]}
    sizes = {"vcpus": flavor.vcpus, "ram": flavor.ram, "disk": flavor.disk, "ephemeral": 0, "swap": 0}
    return {**sizes, "original_name": flavor.name, "extra_specs": {}}


def addresses(cloud: Cloud, server: Server) -> dict[str, list[Json]]:
    """By network name: the fixed address, then the floating ones that lead to it."""
    shown: dict[str, list[Json]] = {}
    for port in cloud.networking.ports(server):
        network = cloud.store.get(Network, port.network_id)
        floating = [one.address for one in cloud.store.all(FloatingIP) if one.port_id == port.id]
        rows = [("fixed", port.address), *(("floating", address) for address in floating)]
        shown.setdefault(network.name if network else "", []).extend(
            {"version": 4, "addr": addr, "OS-EXT-IPS:type": kind, "OS-EXT-IPS-MAC:mac_addr": port.mac}
            for kind, addr in rows
        )
    return shown


def groups_of(cloud: Cloud, server: Server) -> list[Group]:
    ids = [identity for port in cloud.networking.ports(server) for identity in port.groups]
    return [group for group in cloud.store.all(Group) if group.id in ids]


def interface(port: Port) -> Json:
    fixed = [{"subnet_id": port.subnet_id, "ip_address": port.address}]
    facts = {"net_id": port.network_id, "port_id": port.id, "mac_addr": port.mac, "port_state": "ACTIVE"}
    return {**facts, "fixed_ips": fixed, "tag": None}
