"""A deployment in, every site asked for through every balancer as a visitor would; an error where one is silent."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable

from deploymachine.errors import ReleaseError
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment, appnode

SECONDS = 60.0  # that a site may take until it answers


def ask_all(here: Deployment, say: Callable[[str], None]) -> None:
    """Ask for all, and say which answers where. Raises ReleaseError."""
    for balancer in here.inventory.serving("loadbalancer"):
        for name in here.settings.SITES:
            _ask(balancer, name, here)
            say(f"{name} answers through {balancer.name}")


def _ask(balancer: Server, site: str, here: Deployment) -> None:
    described, deadline = here.settings.SITES[site], time.monotonic() + SECONDS
    host = appnode.site_hosts(described, here)[0]
    while True:
        try:
            status = _status(balancer.address, host, described.health_path)
            why = f"it answers {status}"
        except (OSError, http.client.HTTPException) as error:
            status, why = 0, str(error) or type(error).__name__
        if status == 200:
            return
        if time.monotonic() > deadline:
            raise ReleaseError(
                f"{site} does not answer through {balancer.name}",
                where=balancer.where,
                why=f"{why} for {SECONDS:.0f} s",
            )
        time.sleep(0.5)


def _status(address: str, host: str, path: str) -> int:
    """What a visitor is answered. The certificate is not what is asked about: it may be one of ours."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(address, timeout=10, context=context)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()
