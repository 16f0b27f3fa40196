"""appnode: the sites themselves, gunicorn under supervisor, reached by the loadbalancers only."""

from __future__ import annotations

import shlex
from typing import Any

from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment, Opening, _database, _private, open_to
from deploymachine.servertypes._environment import environment
from deploymachine.servertypes._site import cron, place
from deploymachine.settings import Settings, Site

LETS_IN = ("dbserver", "cachenode", "broker", "tasknode")


def attributes(server: Server, deployment: Deployment) -> dict[str, Any]:
    return {
        "django.sites": [site_attributes(name, server, deployment) for name in deployment.settings.SITES],
        "django.cron": cron(server, deployment),
        **_private.trust(deployment),
        **_database.pooler(server, deployment),
        "gunicorn.memory_mb": server.memory_mb or None,
        "gunicorn.forwarded_allow_ips": ",".join(_believed(server, deployment)),
    }


def openings(settings: Settings) -> list[Opening]:
    return [open_to("loadbalancer", site.port, f"site {name}") for name, site in settings.SITES.items()]


def site_attributes(name: str, server: Server, deployment: Deployment) -> dict[str, Any]:
    """Everything that the cookbook `django` and a release need to know of one site on one server."""
    site = deployment.settings.SITES[name]
    return {
        "name": name,
        **place(name),
        "bind": f"{server.private_ip}:{site.port}",
        "wsgi": site.wsgi,
        "settings_module": site.settings_module,
        "directory": site.directory,
        "requirements": site.requirements,
        "environment": environment(name, site, site_hosts(site, deployment), deployment),
        "packages": list(site.packages),
        "extras": list(site.extras),
        "build_commands": [shlex.split(command) for command in site.build_commands],
        "workers": site.workers,
        "memory_mb": site.memory_mb,
        "health_path": site.health_path,
        "health_timeout": site.health_timeout,
        "migrate_timeout": site.migrate_timeout,
        "host": site_hosts(site, deployment)[0],
    }


def site_hosts(site: Site, deployment: Deployment) -> list[str]:
    """The host names a site answers to: its domains, else the loadbalancers' addresses."""
    balancers = deployment.inventory.serving("loadbalancer")
    addresses = [a for node in balancers for a in (node.public_ip, node.private_ip) if a]
    return list(site.domains) or list(dict.fromkeys(addresses)) or ["localhost"]


def _believed(server: Server, deployment: Deployment) -> list[str]:
    """Whose word it takes where a visitor came from, and how: the loadbalancers', and its own, which tries releases."""
    balancers = deployment.inventory.serving("loadbalancer")
    return sorted({node.private_ip for node in (*balancers, server) if node.private_ip})
