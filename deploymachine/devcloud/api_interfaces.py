"""Nova's half of ports: the links of a server, given to it and taken from it while it runs."""

from __future__ import annotations

from flask import Blueprint

from deploymachine.devcloud.api import Cloud, Json, body_of
from deploymachine.devcloud.server_view import interface
from deploymachine.devcloud.state import Refused


def register(api: Blueprint, cloud: Cloud) -> None:
    compute, networking = cloud.compute, cloud.networking

    @api.get("/v2.1/servers/<identity>/os-interface")
    def interfaces(identity: str) -> Json:
        return {"interfaceAttachments": [interface(port) for port in networking.ports(compute.server(identity))]}

    @api.get("/v2.1/servers/<identity>/os-interface/<port_id>")
    def show_interface(identity: str, port_id: str) -> Json:
        found = next((port for port in networking.ports(compute.server(identity)) if port.id == port_id), None)
        if found is None:
            raise Refused(404, f"Instance {identity} does not have a port with id {port_id}")
        return {"interfaceAttachment": interface(found)}

    @api.post("/v2.1/servers/<identity>/os-interface")
    def attach_interface(identity: str) -> Json:
        server = compute.allowed(identity, "attach_interface", "active", "stopped")
        asked = wanted(body_of("interfaceAttachment"))
        return {"interfaceAttachment": interface(networking.attach(server, asked, running=server.process is not None))}

    @api.delete("/v2.1/servers/<identity>/os-interface/<port_id>")
    def detach_interface(identity: str, port_id: str) -> tuple[str, int]:
        networking.detach(compute.allowed(identity, "detach_interface", "active", "stopped"), port_id)
        return "", 202


def wanted(body: Json) -> tuple[str, str, str | None] | None:
    """What of networking's kinds is asked for; None for any network."""
    if body.get("port_id") and body.get("net_id"):
        raise Refused(400, "Must not input both network_id and port_id")
    if body.get("fixed_ips") and not body.get("net_id"):
        raise Refused(400, "Must input network_id when request IP address")
    if body.get("port_id"):
        return "port", str(body["port_id"]), None
    fixed = (body.get("fixed_ips") or [{}])[0].get("ip_address")
    return ("uuid", str(body["net_id"]), fixed) if body.get("net_id") else None
