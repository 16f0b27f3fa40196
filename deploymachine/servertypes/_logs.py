"""Where every server, whatever its type, sends what it logs: the lognodes there are, and what proves who is who."""

from __future__ import annotations

from typing import Any

from deploymachine import authority
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment

PORT = 2514


def attributes(server: Server, deployment: Deployment) -> dict[str, Any]:
    """Without a lognode there is nobody to send to, and nothing to prove."""
    lognodes = [node for node in deployment.inventory.serving("lognode") if node.private_ip]
    if not lognodes:
        return {"logs.lognodes": [], "logs.identity": None}
    return {
        "logs.lognodes": [{"name": node.name, "address": node.private_ip} for node in lognodes if node != server],
        "logs.port": PORT,
        "logs.identity": authority.server_certificate(server, deployment),
    }
