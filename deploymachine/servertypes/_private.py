"""What passes between servers in the private network in, how nobody else can read it out: TLS, by our own authority.

A server that answers shows a certificate of that authority; those who run sites have it among the authorities that they
trust, so that `rediss://` and `amqps://` are all that a site has to know.
"""

from __future__ import annotations

from typing import Any

from deploymachine import authority, controller
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment
from deploymachine.settings import Settings


def scheme(plain: str, settings: Settings) -> str:
    """The scheme of an address: "redis" or "rediss"."""
    return f"{plain}s" if settings.PRIVATE_TLS else plain


def identity(server: Server, deployment: Deployment) -> dict[str, str] | None:
    """{"authority", "certificate", "key"} by which the server proves who it is; None where nobody asks for it."""
    return authority.server_certificate(server, deployment) if deployment.settings.PRIVATE_TLS else None


def trust(deployment: Deployment) -> dict[str, Any]:
    """What makes a server that runs sites believe those that answer it; {} where there are none."""
    settings = deployment.settings
    answering = [node for kind in ("cachenode", "broker", "tasknode") for node in deployment.inventory.serving(kind)]
    if not settings.PRIVATE_TLS or not answering:
        return {}
    ours = {f"deploymachine-{settings.DEPLOYMENT}.crt": authority.certificate(deployment)}
    return {"base.ca_certificates": {**controller.ca_certificates(settings), **ours}}
