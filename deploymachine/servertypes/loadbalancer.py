"""loadbalancer: nginx with TLS in front of every appnode."""

from __future__ import annotations

from typing import Any

from deploymachine import certificates
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment, Opening, open_to_anyone
from deploymachine.settings import Settings


def attributes(server: Server, deployment: Deployment) -> dict[str, Any]:
    return {
        "nginx.sites": [_site(name, deployment) for name in deployment.settings.SITES],
        "nginx.certificates": {name: certificates.self_signed(name, deployment) for name in deployment.settings.SITES},
    }


def openings(settings: Settings) -> list[Opening]:
    return [open_to_anyone(80, "http: redirects to https"), open_to_anyone(443, "https")]


def _site(name: str, deployment: Deployment) -> dict[str, Any]:
    site = deployment.settings.SITES[name]
    appnodes = deployment.inventory.serving("appnode")
    return {
        "name": name,
        "domains": list(site.domains),
        "upstreams": [f"{node.private_ip}:{site.port}" for node in appnodes if node.private_ip],
        "default": name == next(iter(deployment.settings.SITES)) and not site.domains,
    }
