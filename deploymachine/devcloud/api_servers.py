"""Nova v2.1's servers: create, list, show, change, delete, their actions, metadata, tags and interfaces."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from deploymachine.devcloud.api import Cloud, Json, body_of, html_error, page
from deploymachine.devcloud.api_compute import at_least, links, nova
from deploymachine.devcloud.compute import Wish
from deploymachine.devcloud.state import PROJECT, USER, FloatingIP, Group, Network, Port, Refused, Server

USER_DATA_BYTES = 65535
PROPERTIES = {
    *("name", "imageRef", "flavorRef", "networks", "security_groups", "key_name", "user_data", "metadata", "tags"),
    *("min_count", "max_count", "config_drive", "availability_zone", "description", "adminPass", "personality"),
    *("block_device_mapping_v2", "block_device_mapping", "return_reservation_id", "hostname", "accessIPv4"),
    *("accessIPv6", "OS-DCF:diskConfig", "trusted_image_certificates", "host", "hypervisor_hostname"),
}


def blueprint(cloud: Cloud) -> Blueprint:
    api = nova("servers", cloud)
    compute = cloud.compute

    @api.post("/v2.1/servers")
    def create() -> tuple[Json, int]:
        wish = wish_of(body_of("server"))
        server = compute.create(wish)[0]
        groups = [{"name": name} for name in wish.groups or ("default",)]
        answer = {"id": server.id, "links": links(cloud, "servers", server.id), "OS-DCF:diskConfig": "MANUAL"}
        return {"server": {**answer, "security_groups": groups, "adminPass": "none-is-set"}}, 202

    @api.get("/v2.1/servers")
    def brief() -> Json:
        rows = [brief_server(cloud, server) for server in chosen(compute.servers())]
        return with_next("servers", page(rows))

    @api.get("/v2.1/servers/detail")
    def detail() -> Json:
        rows = [show_server(cloud, server) for server in chosen(compute.servers())]
        return with_next("servers", page(rows))

    @api.get("/v2.1/servers/<identity>")
    def one(identity: str) -> Json:
        return {"server": show_server(cloud, compute.server(identity))}

    @api.put("/v2.1/servers/<identity>")
    def update(identity: str) -> Json:
        body = body_of("server")
        changes = {name: body[name] for name in ("name", "description") if name in body}
        return {"server": show_server(cloud, compute.update(compute.server(identity), **changes))}

    @api.delete("/v2.1/servers/<identity>")
    def delete(identity: str) -> tuple[str, int]:
        compute.delete(identity)
        return "", 204

    @api.post("/v2.1/servers/<identity>/action")
    def action(identity: str) -> ResponseReturnValue:
        return act(cloud, identity, request.get_json(silent=True) or {})

    _address_routes(api, cloud)
    _metadata_routes(api, cloud)
    return api


def _address_routes(api: Blueprint, cloud: Cloud) -> None:
    compute = cloud.compute

    @api.get("/v2.1/servers/<identity>/ips")
    def ips(identity: str) -> Json:
        shown = addresses(cloud, compute.server(identity))
        return {"addresses": {name: [{"version": 4, "addr": row["addr"]} for row in shown[name]] for name in shown}}

    @api.get("/v2.1/servers/<identity>/os-interface")
    def interfaces(identity: str) -> Json:
        ports = cloud.networking.ports(compute.server(identity))
        return {"interfaceAttachments": [interface(port) for port in ports]}

    @api.get("/v2.1/servers/<identity>/os-security-groups")
    def groups(identity: str) -> Json:
        shown = [{"id": group.id, "name": group.name} for group in groups_of(cloud, compute.server(identity))]
        return {"security_groups": [{**row, "description": "", "tenant_id": PROJECT, "rules": []} for row in shown]}

    @api.get("/v2.1/servers/<identity>/os-volume_attachments")
    def volumes(identity: str) -> Json:
        compute.server(identity)
        return {"volumeAttachments": []}

    @api.get("/v2.1/servers/<identity>/os-instance-actions")
    def history(identity: str) -> Json:
        compute.server(identity)
        return {"instanceActions": []}


def _metadata_routes(api: Blueprint, cloud: Cloud) -> None:
    compute = cloud.compute

    @api.get("/v2.1/servers/<identity>/metadata")
    def metadata(identity: str) -> Json:
        return {"metadata": compute.server(identity).metadata}

    @api.route("/v2.1/servers/<identity>/metadata", methods=["POST", "PUT"])
    def set_metadata(identity: str) -> Json:
        server, new = compute.server(identity), checked_metadata(body_of("metadata"))
        merged = {**server.metadata, **new} if request.method == "POST" else new
        return {"metadata": compute.update(server, metadata=merged).metadata}

    @api.delete("/v2.1/servers/<identity>/metadata/<key>")
    def delete_metadata(identity: str, key: str) -> tuple[str, int]:
        server = compute.server(identity)
        if key not in server.metadata:
            raise Refused(404, "Metadata item was not found")
        compute.update(server, metadata={name: value for name, value in server.metadata.items() if name != key})
        return "", 204

    @api.get("/v2.1/servers/<identity>/tags")
    def tags(identity: str) -> Json:
        return {"tags": compute.server(identity).tags}

    @api.put("/v2.1/servers/<identity>/tags/<tag>")
    def add_tag(identity: str, tag: str) -> tuple[str, int]:
        server = compute.server(identity)
        compute.update(server, tags=[*server.tags, *({tag} - set(server.tags))])
        return "", 204 if tag in server.tags else 201


def wish_of(body: Json) -> Wish:
    """Checked as Nova's schema does."""
    strange = sorted(name for name in body if name not in PROPERTIES)
    if strange:
        words = f"Additional properties are not allowed ({strange[0]!r} was unexpected)"
        raise Refused(400, f"Invalid input for field/attribute server. Value: {body}. {words}")
    for name in ("name", "flavorRef"):
        if name not in body:
            raise Refused(
                400, f"Invalid input for field/attribute server. Value: {body}. '{name}' is a required property"
            )
    name = str(body["name"])
    if not name.strip() or len(name) > 255:
        words = "'' should be non-empty" if not name else f"{name!r} is too long"
        raise Refused(400, f"Invalid input for field/attribute name. Value: {name}. {words}")
    if str(body.get("availability_zone") or "nova") != "nova":
        raise Refused(400, "The requested availability zone is not available")
    return Wish(
        name=name,
        flavor=str(body["flavorRef"]).rpartition("/")[2],
        image=str(body.get("imageRef") or image_of_volume(body)),
        networks=networks_of(body.get("networks")),
        groups=tuple(group["name"] for group in body.get("security_groups", ())),
        key_name=body.get("key_name"),
        user_data=user_data_of(body.get("user_data") or ""),
        metadata=checked_metadata(body.get("metadata") or {}),
        tags=tuple(body.get("tags") or ()),
        description=body.get("description"),
        count=max(int(body.get("min_count", 1)), int(body.get("max_count", 1))),
    )


def image_of_volume(body: Json) -> str:
    """Of a root disk asked for as a block device made from an image; there are no other volumes yet."""
    for device in body.get("block_device_mapping_v2", ()):
        if device.get("source_type") == "image" and str(device.get("boot_index")) == "0":
            return str(device.get("uuid", ""))
    return ""


def networks_of(asked: object) -> tuple[tuple[str, str, str | None], ...] | None:
    if asked is None or asked == "auto":
        return None
    if not isinstance(asked, list):
        return ()
    return tuple(
        ("port", str(row["port"]), None) if row.get("port") else ("uuid", str(row.get("uuid")), row.get("fixed_ip"))
        for row in asked
    )


def user_data_of(encoded: str) -> str:
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        shown = f"Value: {encoded}. {encoded!r} is not a 'base64'"
        raise Refused(400, f"Invalid input for field/attribute user_data. {shown}") from error
    if len(encoded) > USER_DATA_BYTES:
        raise Refused(400, f"Invalid input for field/attribute user_data. Value: {encoded}. {encoded!r} is too long")
    return data.decode(errors="surrogateescape")


def checked_metadata(metadata: Json) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(value, str) or len(value) > 255:
            words = f"{value} is not of type 'string'" if not isinstance(value, str) else f"{value!r} is too long"
            raise Refused(400, f"Invalid input for field/attribute {key}. Value: {value}. {words}")
    return metadata


def chosen(servers: list[Server]) -> list[Server]:
    """Those the query asks for: name is a regular expression, as in Nova."""
    asked = request.args
    if asked.get("all_tenants", "").lower() in ("1", "true"):
        raise Refused(403, "Policy doesn't allow os_compute_api:servers:detail:get_all_tenants to be performed.")
    tags = set(filter(None, asked.get("tags", "").split(",")))
    found = [
        server
        for server in servers
        if re.search(asked.get("name", ""), server.name)
        and asked.get("status", server.status).upper() == server.status
        and tags <= set(server.tags)
    ]
    if asked.get("sort_key") in ("display_name", "name"):
        found.sort(key=lambda server: server.name, reverse=asked.get("sort_dir") == "desc")
    return found


def with_next(name: str, rows: list[Json]) -> Json:
    """With Nova's link to the next page, if this one is full."""
    limit = request.args.get("limit", "")
    if not rows or not limit.isdigit() or len(rows) < int(limit):
        return {name: rows}
    href = f"{request.base_url}?limit={limit}&marker={rows[-1]['id']}"
    return {name: rows, f"{name}_links": [{"rel": "next", "href": href}]}


def act(cloud: Cloud, identity: str, body: Json) -> ResponseReturnValue:
    compute = cloud.compute
    name, asked = next(iter(body.items()), ("", None))
    asked = asked if isinstance(asked, dict) else {}
    plain: dict[str, Callable[[], object]] = {
        "os-stop": lambda: compute.stop(identity),
        "os-start": lambda: compute.start(identity),
        "reboot": lambda: compute.reboot(identity, hard=asked.get("type") == "HARD"),
        "addSecurityGroup": lambda: change_group(cloud, identity, asked, add=True),
        "removeSecurityGroup": lambda: change_group(cloud, identity, asked, add=False),
    }
    if name in plain:
        plain[name]()
        return "", 202
    if name == "os-getConsoleOutput":
        length = asked.get("length")
        return jsonify(output=compute.console(identity, None if length is None else int(length)))
    if name == "rebuild":
        return jsonify(server=show_server(cloud, compute.rebuild(identity, str(asked.get("imageRef", ""))))), 202
    compute.server(identity)
    return html_error(404, "Not Found", "The resource could not be found.")


def change_group(cloud: Cloud, identity: str, asked: Json, *, add: bool) -> None:
    group = cloud.networking.find_groups([str(asked.get("name", ""))])[0]
    for port in cloud.networking.ports(cloud.compute.server(identity)):
        others = [one for one in port.groups if one != group.id]
        cloud.networking.set_groups(port, [*others, group.id] if add else others)


def brief_server(cloud: Cloud, server: Server) -> Json:
    return {"id": server.id, "name": server.name, "links": links(cloud, "servers", server.id)}


def show_server(cloud: Cloud, server: Server) -> Json:
    """Nova's whole view; what a server has only once a host took it stays empty while it is in BUILD."""
    image = cloud.compute.image(server.image_id)
    placed = server.status != "BUILD"
    image_link = [links(cloud, "images", image.id)[1]]
    shown: Json = {
        "accessIPv4": "",
        "accessIPv6": "",
        "addresses": addresses(cloud, server) if placed else {},
        "created": server.created,
        "flavor": embedded_flavor(cloud, server),
        "hostId": hashlib.sha224(f"{PROJECT}devcloud".encode()).hexdigest() if placed else "",
        "id": server.id,
        "image": {"id": image.id, "links": image_link, "properties": {"os_distro": "debian"}},
        "links": links(cloud, "servers", server.id),
        "metadata": server.metadata,
        "name": server.name,
        "status": server.status,
        "tenant_id": PROJECT,
        "user_id": USER,
        "updated": server.updated,
        "OS-DCF:diskConfig": "MANUAL",
        "OS-EXT-AZ:availability_zone": "nova" if placed else "",
        "config_drive": "",
        "key_name": server.key_name,
        "OS-SRV-USG:launched_at": server.launched and server.launched.rstrip("Z") + ".000000",
        "OS-SRV-USG:terminated_at": None,
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:vm_state": server.vm_state,
        "OS-EXT-STS:power_state": server.power_state,
        "os-extended-volumes:volumes_attached": [],
        **newer_facts(server),
    }
    if server.status in ("ACTIVE", "BUILD", "REBUILD"):
        shown["progress"] = 0
    if placed:
        shown["security_groups"] = [{"name": group.name} for group in groups_of(cloud, server)]
    if server.fault is not None:
        shown["fault"] = {"code": 500, "created": server.updated, "message": server.fault}
    return shown


def newer_facts(server: Server) -> Json:
    """What later microversions added."""
    facts: list[tuple[int, Json]] = [
        (9, {"locked": False}),
        (19, {"description": server.description}),
        (26, {"tags": server.tags}),
        (63, {"trusted_image_certificates": None}),
        (71, {"server_groups": []}),
        (73, {"locked_reason": None}),
        (90, {"OS-EXT-SRV-ATTR:hostname": server.hostname}),
        (96, {"pinned_availability_zone": None}),
        (100, {"scheduler_hints": {}}),
    ]
    return {name: value for minor, added in facts if at_least(minor) for name, value in added.items()}


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
