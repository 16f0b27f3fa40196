"""loadbalancer: nginx with TLS in front of every appnode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deploymachine import certificates
from deploymachine.errors import SettingsError
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
    return {
        "name": name,
        "domains": list(site.domains),
        "upstreams": [f"{node.private_ip}:{site.port}" for node in deployment.ahead("appnode") if node.private_ip],
        "default": not site.domains,
        "certificate": site.certificate if isinstance(site.certificate, str) else "files",
        "body_size_mb": site.body_size_mb,
        "rate_limit": site.rate_limit.model_dump() if site.rate_limit is not None else None,
        "health_path": site.health_path,
        "maintenance_page": _page(name, deployment),
    }


def _page(name: str, deployment: Deployment) -> str | None:
    """The site's own page for maintenance; None: ours. Raises SettingsError."""
    wanted = deployment.settings.SITES[name].maintenance_page
    if wanted is None:
        return None
    file = deployment.settings.directory / Path(wanted).expanduser()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it is not text in UTF-8"
        raise SettingsError(f"SITES[{name!r}]['maintenance_page'] can't be read", where=str(file), why=why) from None
