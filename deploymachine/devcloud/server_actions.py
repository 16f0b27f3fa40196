"""The body of POST /servers/ID/action goes in; the server does it, or refuses in Nova's words."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from flask import jsonify
from flask.typing import ResponseReturnValue

from deploymachine.devcloud.api import Cloud, Json
from deploymachine.devcloud.api_compute import at_least
from deploymachine.devcloud.server_view import show_server
from deploymachine.devcloud.server_wish import checked_metadata, user_data_of
from deploymachine.devcloud.state import Refused

REBUILDING = {  # property: the microversion that brought it
    "imageRef": 1,
    "adminPass": 1,
    "name": 1,
    "metadata": 1,
    "preserve_ephemeral": 1,
    "accessIPv4": 1,
    "accessIPv6": 1,
    "OS-DCF:diskConfig": 1,
    "personality": 1,
    "description": 19,
    "key_name": 54,
    "user_data": 57,
    "trusted_image_certificates": 63,
    "hostname": 90,
}


OF_OLD = {"addFloatingIp", "removeFloatingIp", "addFixedIp", "removeFixedIp"}  # which Neutron does today


def act(cloud: Cloud, identity: str, body: Json) -> ResponseReturnValue:
    compute, reshape = cloud.compute, cloud.compute.reshape
    name, asked = next(iter(body.items()), ("", None))
    asked = asked if isinstance(asked, dict) else {}
    plain: dict[str, Callable[[], object]] = {
        "os-stop": lambda: compute.stop(identity),
        "os-start": lambda: compute.start(identity),
        "reboot": lambda: compute.reboot(identity, hard=asked.get("type") == "HARD"),
        "resize": lambda: reshape.resize(identity, required(asked, "flavorRef").rpartition("/")[2]),
        "revertResize": lambda: reshape.revert(identity),
        "lock": lambda: compute.lock(identity, asked.get("locked_reason")),
        "unlock": lambda: compute.unlock(identity),
        "addSecurityGroup": lambda: change_group(cloud, identity, asked, add=True),
        "removeSecurityGroup": lambda: change_group(cloud, identity, asked, add=False),
    }
    if name in plain:
        plain[name]()
        return "", 202
    if name == "confirmResize":
        reshape.confirm(identity)
        return "", 204
    if name == "os-getConsoleOutput":
        length = asked.get("length")
        return jsonify(output=compute.console(identity, None if length is None else int(length)))
    if name == "rebuild":
        return rebuild(cloud, identity, asked)
    if name == "createImage":
        return create_image(cloud, identity, asked)
    compute.server(identity)
    if name in OF_OLD:
        raise Refused(404, "The resource could not be found.")
    raise Refused(400, f"There is no such action: {name}.")


def required(asked: Json, name: str) -> str:
    if name not in asked:
        raise Refused(400, f"Invalid input for field/attribute resize. Value: {asked}. '{name}' is a required property")
    return str(asked[name])


def rebuild(cloud: Cloud, identity: str, asked: Json) -> ResponseReturnValue:
    strange = sorted(name for name in asked if not at_least(REBUILDING.get(name, 1 << 30)))
    if strange:
        words = f"Additional properties are not allowed ({strange[0]!r} was unexpected)"
        raise Refused(400, f"Invalid input for field/attribute rebuild. Value: {asked}. {words}")
    changes: dict[str, Any] = {name: asked[name] for name in ("name", "description", "key_name") if name in asked}
    if "metadata" in asked:
        changes["metadata"] = checked_metadata(asked["metadata"])
    if "user_data" in asked:
        changes["user_data"] = user_data_of(asked["user_data"] or "")
    image = required(asked, "imageRef").rpartition("/")[2]
    server = cloud.compute.reshape.rebuild(identity, image, volume_may_change=at_least(93), **changes)
    shown = {**show_server(cloud, server), "adminPass": "none-is-set"}
    if at_least(57):
        data = server.user_data.encode(errors="surrogateescape")
        shown["user_data"] = base64.b64encode(data).decode() if data else None
    where = {"Location": f"{cloud.layout.url}/compute/v2.1/servers/{identity}"}
    return jsonify(server=shown), 202, where


def create_image(cloud: Cloud, identity: str, asked: Json) -> ResponseReturnValue:
    name = required(asked, "name")
    image = cloud.compute.reshape.snapshot(identity, name, checked_metadata(asked.get("metadata") or {}))
    where = {"Location": f"{cloud.layout.url}/image/v2/images/{image.id}"}
    if at_least(45):
        return jsonify(image_id=image.id), 202
    return "", 202, where


def change_group(cloud: Cloud, identity: str, asked: Json, *, add: bool) -> None:
    group = cloud.networking.find_groups([str(asked.get("name", ""))])[0]
    for port in cloud.networking.ports(cloud.compute.server(identity)):
        others = [one for one in port.groups if one != group.id]
        cloud.networking.set_groups(port, [*others, group.id] if add else others)
