"""Loadbalancers in, a row for each of their sites out: how it is switched, which certificate visitors are shown."""

from __future__ import annotations

import socket
import ssl as tls
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from deploymachine import ssh
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment
from deploymachine.settings import Site

if TYPE_CHECKING:
    from cryptography import x509

LOOK = "systemctl is-active nginx; ls /etc/deploymachine/nginx 2>/dev/null; true"
SECONDS = 5.0
Row = tuple[str, str, str, str, str, str, str]


def rows(servers: Sequence[Server], deployment: Deployment) -> list[Row]:
    """(server, nginx's state, site, its state, who signed, until when, days left). Raises ConnectError."""
    outcomes = ssh.on_each(servers, lambda server: _of(server, deployment))
    return [row for found in ssh.values(outcomes) for row in found]


def _of(server: Server, deployment: Deployment) -> list[Row]:
    settings = deployment.settings
    with ssh.connect(server, ssh.login(server, settings), settings) as connection:
        state, *switches = connection.run(["sh", "-c", LOOK]).output.split()
    return [(server.name, state, name, *_row(name, site, server, switches)) for name, site in settings.SITES.items()]


def _row(name: str, site: Site, server: Server, switches: Sequence[str]) -> tuple[str, str, str, str]:
    if f"{name}.disabled" in switches:
        return "off", "", "", ""
    state = "maintenance" if f"{name}.maintenance" in switches else "on"
    return state, *told(shown(server.address, site.domains[0] if site.domains else None))


def told(certificate: x509.Certificate | None) -> tuple[str, str, str]:
    """(who signed it, the last day, days left); none where there is none."""
    if certificate is None:
        return "none", "", ""
    end = certificate.not_valid_after_utc
    issuer = certificate.issuer.rdns[-1].rfc4514_string().partition("=")[2]
    signer = "self-signed" if certificate.issuer == certificate.subject else issuer
    return signer, f"{end:%Y-%m-%d}", str((end - datetime.now(timezone.utc)).days)


def shown(address: str, host: str | None, port: int = 443) -> x509.Certificate | None:
    """The certificate that a visitor of `host` gets there; None where there is none, or nobody answers."""
    from cryptography import x509

    context = tls.create_default_context()
    context.check_hostname, context.verify_mode = False, tls.CERT_NONE  # it is looked at, not trusted
    try:
        with (
            socket.create_connection((address, port), SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            found = connection.getpeercert(binary_form=True)
    except OSError:
        return None
    return x509.load_der_x509_certificate(found) if found else None
