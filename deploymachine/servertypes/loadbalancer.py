"""loadbalancer: nginx with TLS in front of every appnode."""

from __future__ import annotations

from typing import Any

from deploymachine import certificates
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment, Opening, _acme, open_to_anyone
from deploymachine.settings import Settings


def attributes(server: Server, deployment: Deployment) -> dict[str, Any]:
    return {
        "nginx.sites": [_site(name, deployment) for name in deployment.settings.SITES],
        "nginx.certificates": {name: certificates.of(name, deployment) for name in deployment.settings.SITES},
        **_acme.attributes(server, deployment),
    }


def openings(settings: Settings) -> list[Opening]:
    anyone = [open_to_anyone(80, "http: redirects to https"), open_to_anyone(443, "https")]
    return [*anyone, *_acme.openings(settings)]


def _site(name: str, deployment: Deployment) -> dict[str, Any]:
    site = deployment.settings.SITES[name]
    appnodes = deployment.inventory.serving("appnode")
    return {
        "name": name,
        "domains": list(site.domains),
        "upstreams": [f"{node.private_ip}:{site.port}" for node in appnodes if node.private_ip],
        "default": not site.domains,
        "certificate": site.certificate if isinstance(site.certificate, str) else "files",
        "body_size_mb": site.body_size_mb,
        "rate_limit": site.rate_limit.model_dump() if site.rate_limit is not None else None,
    }
