"""Nova's server groups: who shall run beside whom, in the words of the request's microversion."""

from __future__ import annotations

from flask import Blueprint

from deploymachine.devcloud.api import Cloud, Json, body_of, page
from deploymachine.devcloud.api_compute import at_least
from deploymachine.devcloud.assets import ServerGroup
from deploymachine.devcloud.ids import new_id
from deploymachine.devcloud.scheduler import POLICIES, member
from deploymachine.devcloud.state import PROJECT, USER, Refused, Server


def register(api: Blueprint, cloud: Cloud) -> None:
    store = cloud.store

    def find(identity: str) -> ServerGroup:
        group = store.get(ServerGroup, identity)
        if group is None:
            raise Refused(404, f"Instance group {identity} could not be found.")
        return group

    @api.get("/v2.1/os-server-groups")
    def server_groups() -> Json:
        return {"server_groups": page([show(cloud, group) for group in store.all(ServerGroup)])}

    @api.post("/v2.1/os-server-groups")
    def create_group() -> Json:
        group = group_of(body_of("server_group"))
        with store.lock:
            cloud.networking.quotas.check_server_group()
            store.put(group)
        return {"server_group": show(cloud, group)}

    @api.get("/v2.1/os-server-groups/<identity>")
    def server_group(identity: str) -> Json:
        return {"server_group": show(cloud, find(identity))}

    @api.delete("/v2.1/os-server-groups/<identity>")
    def delete_group(identity: str) -> tuple[str, int]:
        store.drop(find(identity))
        return "", 204


def group_of(body: Json) -> ServerGroup:
    """Before 2.64 with a list of policies, of which there can be one; since then with one and its rules."""
    wanted = "policy" if at_least(64) else "policies"
    for name in ("name", wanted):
        if not body.get(name):
            words = f"Value: {body}. '{name}' is a required property"
            raise Refused(400, f"Invalid input for field/attribute server_group. {words}")
    policy = str(body["policy"] if at_least(64) else body["policies"][0])
    if policy not in POLICIES:
        words = f"Value: {policy}. '{policy}' is not one of {sorted(POLICIES)}"
        raise Refused(400, f"Invalid input for field/attribute {wanted}. {words}")
    rules = body.get("rules") or {}
    if rules and policy != "anti-affinity":
        raise Refused(400, "Only anti-affinity policy supports rules.")
    rules = {name: int(value) for name, value in rules.items()}
    return ServerGroup(new_id(), str(body["name"]), policy, rules.get("max_server_per_host", 1), rules)


def show(cloud: Cloud, group: ServerGroup) -> Json:
    members = [server.id for server in cloud.store.all(Server) if member(server, group)]
    shown: Json = {"id": group.id, "name": group.name}
    if at_least(64):
        shown |= {"policy": group.policy, "rules": group.rules, "members": members}
    else:
        shown |= {"policies": [group.policy], "members": members, "metadata": {}}
    return {**shown, "project_id": PROJECT, "user_id": USER} if at_least(13) else shown
