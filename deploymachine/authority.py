"""The deployment's own certificate authority: a server in, the certificate that proves its name to its peers out.

Every private key is kept in the secrets file, where `certificates` keeps those of the sites, and a server's key travels
to that server alone. The authority's certificate is renewed with the same key and name, so that what it has signed
before stays good.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from deploymachine.certificates import load_key, names_of, new_key, still_good
from deploymachine.secrets import Secret

if TYPE_CHECKING:
    from cryptography import x509

    from deploymachine.inventory import Server
    from deploymachine.servertypes import Deployment

# Nobody but our own servers looks at these, and only cooking renews them: they last through years without any.
AUTHORITY_DAYS, AUTHORITY_RENEW_DAYS = 7300, 3650
SERVER_DAYS, SERVER_RENEW_DAYS = 1095, 365
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def path(state: Path) -> Path:
    """Where the authority's certificate lies on the controller, for whoever has to check a server's."""
    return state / "authority" / "authority.pem"


def certificate(deployment: Deployment) -> str:
    """The authority's own certificate (PEM); the same one until it has to be renewed."""
    file = path(deployment.settings.state)
    name = _name(deployment)
    key = _key(deployment)
    if not still_good(file, key, [name], AUTHORITY_RENEW_DAYS):
        _write(file, _own_certificate(name, key))
    return file.read_text()


def server_certificate(server: Server, deployment: Deployment) -> dict[str, str]:
    """{"authority": PEM, "certificate": PEM, "key": Secret PEM} for the server's name and addresses.

    The same ones until the names change, the authority's key does, or the certificate has less than a year to go.
    """
    key = deployment.secrets.made_by(f"server-{server.name}-tls-key", new_key)
    names = [name for name in dict.fromkeys((server.name, server.private_ip, server.public_ip)) if name]
    authority = certificate(deployment)
    file = path(deployment.settings.state).parent / "servers" / f"{server.name}.pem"
    if not (still_good(file, key, names, SERVER_RENEW_DAYS) and _signed_by(file, authority)):
        _write(file, _signed_certificate(names, key, authority, _key(deployment)))
    return {"authority": authority, "certificate": file.read_text(), "key": key}


def _name(deployment: Deployment) -> str:
    return f"deploymachine-{deployment.settings.DEPLOYMENT}"


def _key(deployment: Deployment) -> Secret:
    return deployment.secrets.made_by("authority-key", new_key)


def _write(file: Path, content: bytes) -> None:
    """As a whole: somebody else may cook from the same directory at this moment."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = file.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.replace(file)


def _signed_by(file: Path, authority: str) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        found = x509.load_pem_x509_certificate(file.read_bytes())
        found.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode()))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _own_certificate(name: str, key_pem: Secret) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    key = load_key(key_pem)
    subject = _subject(name)
    usage = _usage(key_cert_sign=True, crl_sign=True)
    builder = (
        _builder(AUTHORITY_DAYS)
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .add_extension(names_of([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _signed_certificate(names: list[str], key_pem: Secret, authority_pem: str, authority_key: Secret) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID

    authority = x509.load_pem_x509_certificate(authority_pem.encode())
    signer = load_key(authority_key)
    public = load_key(key_pem).public_key()
    both_ends = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        _builder(SERVER_DAYS)
        .subject_name(_subject(names[0]))
        .issuer_name(authority.subject)
        .public_key(public)
        .add_extension(names_of(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both_ends), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _subject(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _builder(days: int) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(**granted: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(**{kind: granted.get(kind, False) for kind in USAGES})
