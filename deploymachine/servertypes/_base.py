"""What every server needs, whatever its type: access, firewall, names of its peers, package sources."""

from __future__ import annotations

from typing import Any

from deploymachine import adminkeys, controller
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment
from deploymachine.settings_base import moment_in


def attributes(server: Server, deployment: Deployment) -> dict[str, Any]:
    settings = deployment.settings
    return {
        "base.hostname": server.name,
        "base.hosts": {peer.name: peer.private_ip for peer in deployment.inventory if peer.private_ip},
        "base.deploy_username": settings.DEPLOY_USERNAME,
        "base.deploy_password_hash": deployment.secrets.password_hash(deployment.secrets.sudo_on(server.name)),
        "base.admin_keys": adminkeys.read(settings),
        "base.ssh_port": settings.SSH_PORT,
        **({"base.ssh_more_kex": more} if (more := controller.more_key_exchanges()) else {}),
        "base.fail2ban_ignore": list(settings.FAIL2BAN_IGNORE),
        "base.reboot_time": _reboot_time(server, deployment),
        "base.packages": list(settings.BASE_PACKAGES),
        "base.ca_certificates": controller.ca_certificates(settings),
        "base.apt_proxy": controller.apt_proxy(settings),
        "base.pip_index_url": controller.pip_index_url(settings),
    }


def _reboot_time(server: Server, deployment: Deployment) -> str | None:
    """When the server may reboot for an update: each at another moment of REBOOT_WINDOW; None: never by itself."""
    names = sorted({server.name, *(peer.name for peer in deployment.inventory)})
    window = deployment.settings.REBOOT_WINDOW
    return None if window is None else moment_in(window, names.index(server.name), len(names))
