"""A site's TLS certificate for the loadbalancers: the team's own files, or self-signed, which ACME then replaces."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from deploymachine.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    from deploymachine.servertypes import Deployment

DAYS = 365
RENEW_DAYS = 30


def path(site: str, state: Path) -> Path:
    """Where the certificate of `site` lies on the controller; it serves as CA file for `curl --cacert`."""
    return state / "certificates" / f"{site}.pem"


def of(site: str, deployment: Deployment) -> dict[str, str]:
    """{"certificate": PEM, "key": Secret PEM} as SITES says. Raises SettingsError for files that can't be used.

    For "acme" it is a self-signed one: it serves until a loadbalancer has got the real one.
    """
    settings = deployment.settings.SITES[site]
    if isinstance(settings.certificate, str):
        return self_signed(site, deployment)
    from deploymachine import certificate_files

    setting = f"SITES[{site!r}]['certificate']"
    return certificate_files.read(settings.certificate, settings.domains, deployment.settings.directory, setting)


def self_signed(site: str, deployment: Deployment) -> dict[str, str]:
    """{"certificate": PEM, "key": Secret PEM} for the site's names; the same one until names change or it runs out."""
    from deploymachine.servertypes.appnode import site_hosts

    key = deployment.secrets.made_by(f"site-{site}-tls-key", new_key)
    hosts = site_hosts(deployment.settings.SITES[site], deployment)
    file = path(site, deployment.settings.state)
    if not still_good(file, key, hosts, RENEW_DAYS):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_bytes(_new_certificate(key, hosts))
    return {"certificate": file.read_text(), "key": key}


def new_key() -> str:
    """A fresh private key, PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


def load_key(pem: Secret) -> EllipticCurvePrivateKey:
    """A key that `new_key` made."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    key = serialization.load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, EllipticCurvePrivateKey)  # noqa: S101 (made by new_key)
    return key


def names_of(hosts: list[str]) -> x509.SubjectAlternativeName:
    """Host names and addresses as a certificate lists them."""
    from cryptography import x509

    return x509.SubjectAlternativeName([_name(host) for host in hosts])


def _name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def still_good(file: Path, key: Secret, hosts: list[str], renew_days: int) -> bool:
    """Is there a certificate for that key and exactly those names, with more than `renew_days` to go?"""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    left = certificate.not_valid_after_utc - datetime.now(timezone.utc)
    same_key = certificate.public_key() == load_key(key).public_key()
    return same_key and names == names_of(hosts) and left > timedelta(days=renew_days)


def _new_certificate(key_pem: Secret, hosts: list[str]) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key, now = load_key(key_pem), datetime.now(timezone.utc)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(names_of(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
