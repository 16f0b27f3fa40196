"""Which loadbalancer gets certificates by ACME, and how the others come by them.

The first by name gets them for all: an authority counts how often it is asked for the same names, and a name leads a
visitor, and the authority, to any of them. The others pass the authority's questions on to it and take its certificates
over the private network, each side proving who it is by the deployment's own authority: so renewals reach all of them
without anybody who types something.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deploymachine import authority
from deploymachine.errors import SettingsError
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment, Opening, open_to
from deploymachine.settings import Settings

PORT = 4402


def attributes(server: Server, deployment: Deployment) -> dict[str, Any]:
    settings = deployment.settings
    balancers = deployment.inventory.serving("loadbalancer")
    leader = balancers[0] if balancers else server
    follows = leader.name != server.name
    # Passed on before there is a site for it, too: so the first time that somebody asks finds the way.
    found: dict[str, Any] = {"nginx.acme_peer": leader.private_ip if follows else None}
    if not sites(settings):
        return found
    return {
        **found,
        "certbot.sites": sites(settings),
        "certbot.email": settings.ACME_EMAIL,
        "certbot.directory": settings.ACME_DIRECTORY,
        "certbot.ca": _ca(settings),
        "certbot.leader": {"name": leader.name, "address": leader.private_ip} if follows else None,
        "certbot.followers": [] if follows else [one.name for one in balancers if one.name != server.name],
        "certbot.address": server.private_ip,
        "certbot.port": PORT,
        "certbot.identity": authority.server_certificate(server, deployment) if len(balancers) > 1 else None,
    }


def openings(settings: Settings) -> list[Opening]:
    return [open_to("loadbalancer", PORT, "certificates for the other loadbalancers")] if sites(settings) else []


def sites(settings: Settings) -> dict[str, list[str]]:
    """The sites whose certificate comes by ACME, and their names."""
    return {name: list(site.domains) for name, site in settings.SITES.items() if site.certificate == "acme"}


def _ca(settings: Settings) -> str | None:
    if settings.ACME_CA is None:
        return None
    path = settings.directory / Path(settings.ACME_CA).expanduser()
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SettingsError("ACME_CA: the file can't be read", where=str(path), why=error.strerror) from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise SettingsError("ACME_CA: not a PEM certificate", where=str(path))
    return text
