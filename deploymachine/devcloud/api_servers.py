"""Nova v2.1's servers: create, list, show, change, delete, their metadata, tags and interfaces."""

from __future__ import annotations

import re

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from deploymachine.devcloud import api_attachments, api_floatingips, api_interfaces, api_limits, api_server_groups
from deploymachine.devcloud.api import Cloud, Json, body_of, page, sent
from deploymachine.devcloud.api_compute import at_least, links, nova, with_next
from deploymachine.devcloud.server_actions import act
from deploymachine.devcloud.server_view import addresses, brief_server, groups_of, show_server
from deploymachine.devcloud.server_wish import checked_metadata, wish_of
from deploymachine.devcloud.state import PROJECT, USER, Refused, Server


def blueprint(cloud: Cloud) -> Blueprint:
    api = nova("servers", cloud)
    compute = cloud.compute

    @api.post("/v2.1/servers")
    def create() -> tuple[Json, int, Json]:
        wish = wish_of(body_of("server"), hints_of(sent()))
        server = compute.create(wish)[0]
        groups = [{"name": name} for name in wish.groups or ("default",)]
        answer = {"id": server.id, "links": links(cloud, "servers", server.id), "OS-DCF:diskConfig": "MANUAL"}
        where = {"Location": f"{cloud.layout.url}/compute/v2.1/servers/{server.id}"}
        return {"server": {**answer, "security_groups": groups, "adminPass": "none-is-set"}}, 202, where

    @api.get("/v2.1/servers")
    def brief() -> Json:
        rows = [brief_server(cloud, server) for server in chosen(compute.servers())]
        return with_next("servers", page(rows))

    @api.get("/v2.1/servers/detail")
    def detail() -> Json:
        rows = [show_server(cloud, server, listed=True) for server in chosen(compute.servers())]
        return with_next("servers", page(rows))

    @api.get("/v2.1/servers/<identity>")
    def one(identity: str) -> Json:
        return {"server": show_server(cloud, compute.server(identity))}

    _change_routes(api, cloud)
    _address_routes(api, cloud)
    _metadata_routes(api, cloud)
    for part in (api_attachments, api_interfaces, api_server_groups, api_limits, api_floatingips):
        part.register(api, cloud)
    return api


def _change_routes(api: Blueprint, cloud: Cloud) -> None:
    compute = cloud.compute

    @api.put("/v2.1/servers/<identity>")
    def update(identity: str) -> Json:
        body = body_of("server")
        changes: Json = {name: body[name] for name in ("name", "description") if name in body}
        changes |= {"called": str(body["hostname"])} if body.get("hostname") else {}
        return {"server": show_server(cloud, compute.update(compute.server(identity), **changes))}

    @api.delete("/v2.1/servers/<identity>")
    def delete(identity: str) -> tuple[str, int]:
        compute.delete(identity)
        return "", 204

    @api.post("/v2.1/servers/<identity>/action")
    def action(identity: str) -> ResponseReturnValue:
        return act(cloud, identity, sent())


def hints_of(body: Json) -> Json:
    """The scheduler's, under either of the names that Nova takes."""
    hints = body.get("OS-SCH-HNT:scheduler_hints", body.get("os:scheduler_hints"))
    return hints if isinstance(hints, dict) else {}


def _address_routes(api: Blueprint, cloud: Cloud) -> None:
    compute = cloud.compute

    @api.get("/v2.1/servers/<identity>/ips")
    def ips(identity: str) -> Json:
        shown = addresses(cloud, compute.server(identity))
        return {"addresses": {name: [{"version": 4, "addr": row["addr"]} for row in shown[name]] for name in shown}}

    @api.get("/v2.1/servers/<identity>/os-security-groups")
    def groups(identity: str) -> Json:
        shown = [{"id": group.id, "name": group.name} for group in groups_of(cloud, compute.server(identity))]
        return {"security_groups": [{**row, "description": "", "tenant_id": PROJECT, "rules": []} for row in shown]}

    @api.get("/v2.1/servers/<identity>/os-instance-actions")
    def history(identity: str) -> Json:
        return {"instanceActions": [birth(compute.server(identity))]}


def birth(server: Server) -> Json:
    """The one action that every server has had."""
    shown: Json = {
        "action": "create",
        "instance_uuid": server.id,
        "request_id": f"req-{server.id}",
        "user_id": USER,
        "project_id": PROJECT,
        "start_time": f"{server.created.rstrip('Z')}.000000",
        "message": None,
    }
    return {**shown, "updated_at": f"{server.updated.rstrip('Z')}.000000"} if at_least(58) else shown


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
    def add_tag(identity: str, tag: str) -> tuple[str, int, Json]:
        server = compute.server(identity)
        compute.update(server, tags=[*server.tags, *({tag} - set(server.tags))])
        where = {"Location": f"{cloud.layout.url}/compute/v2.1/servers/{identity}/tags/{tag}"}
        return "", 204 if tag in server.tags else 201, where


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
