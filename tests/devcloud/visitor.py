"""A visitor who comes to a loadbalancer by a site's name, whatever the world's name servers say."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509


@dataclass(frozen=True)
class Answer:
    """What came back. signer: who signed the certificate that was shown."""

    status: int
    text: str
    headers: http.client.HTTPMessage
    signer: str = ""


@dataclass(frozen=True)
class Visitor:
    """address: of the loadbalancer. name: of the site. trust: CA file to check against; None: look at it only."""

    address: str
    name: str
    trust: Path | None = None
    alpn: tuple[str, ...] = field(default=("http/1.1",))

    def connect(self) -> ssl.SSLSocket:
        """A TLS connection."""
        context = ssl.create_default_context(cafile=str(self.trust) if self.trust else None)
        if self.trust is None:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(list(self.alpn))
        return context.wrap_socket(socket.create_connection((self.address, 443), 30), server_hostname=self.name)

    def certificate(self) -> bytes:
        """The one that is shown, DER."""
        with self.connect() as connection:
            return connection.getpeercert(binary_form=True) or b""

    def ask(self, path: str = "/", method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        """One request; Host in headers may be another than the name."""
        connection = http.client.HTTPSConnection(self.name)
        connection.sock = self.connect()
        signer = x509.load_der_x509_certificate(connection.sock.getpeercert(binary_form=True) or b"").issuer
        return _answer(connection, method, path, body, headers, signer.rfc4514_string())

    def ask_plainly(self, path: str = "/", **headers: str) -> Answer:
        """One request at port 80."""
        connection = http.client.HTTPConnection(self.address, timeout=30)
        return _answer(connection, "GET", path, None, {"Host": self.name, **headers}, "")


def _answer(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
    signer: str,
) -> Answer:
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        got = connection.getresponse()
        return Answer(got.status, got.read().decode(errors="replace"), got.headers, signer)
    finally:
        connection.close()
