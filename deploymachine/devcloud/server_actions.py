"""The body of POST /servers/ID/action goes in; the server does it, or refuses in Nova's words."""

from __future__ import annotations

from collections.abc import Callable

from flask import jsonify
from flask.typing import ResponseReturnValue

from deploymachine.devcloud.api import Cloud, Json, html_error
from deploymachine.devcloud.server_view import show_server


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
