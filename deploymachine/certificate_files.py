"""A certificate of the user's own in; out comes its text, once it is sure that a browser would take it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from deploymachine.errors import SettingsError
from deploymachine.secrets import Secret

if TYPE_CHECKING:
    from cryptography import x509

    from deploymachine.settings_web import CertificateFiles


def read(files: CertificateFiles, hosts: Sequence[str], directory: Path, setting: str) -> dict[str, str]:
    """{"certificate": PEM, "key": Secret PEM}. hosts: the names it has to be good for. Raises SettingsError.

    setting: how settings.py names it, for messages.
    """
    from cryptography import x509

    paths = [directory / Path(name).expanduser() for name in (files.certificate, files.key)]
    certificate, key = (_text(path, setting) for path in paths)
    try:
        chain = x509.load_pem_x509_certificates(certificate.encode())
    except ValueError as error:
        raise SettingsError(f"{setting}: not a PEM certificate", where=str(paths[0]), why=str(error)) from None
    _check_key(chain, key, paths, setting)
    _check_time(chain[0], paths[0], setting)
    _check_names(chain[0], hosts, paths[0], setting)
    return {"certificate": certificate, "key": Secret(key)}


def _text(path: Path, setting: str) -> str:
    try:
        return path.read_text(encoding="ascii")
    except UnicodeDecodeError:
        raise SettingsError(f"{setting}: not a PEM file", where=str(path)) from None
    except OSError as error:
        raise SettingsError(f"{setting}: the file can't be read", where=str(path), why=error.strerror) from None


def _check_key(chain: list[x509.Certificate], text: str, paths: list[Path], setting: str) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        hint = "a key with a passphrase can't be used: `openssl pkey -in OLD -out NEW` takes it off"
        raise SettingsError(f"{setting}: not a private key", where=str(paths[1]), why=str(error), hint=hint) from None
    fitting = [number for number, one in enumerate(chain) if one.public_key() == key.public_key()]
    if not fitting:
        raise SettingsError(f"{setting}: certificate and key don't belong together", where=", ".join(map(str, paths)))
    if fitting[0] != 0:
        raise SettingsError(
            f"{setting}: the site's own certificate is not the first in the file",
            where=str(paths[0]),
            hint="put it first, then the one that signed it, and so on",
        )


def _check_time(one: x509.Certificate, path: Path, setting: str) -> None:
    begin, end = one.not_valid_before_utc, one.not_valid_after_utc
    if not begin <= datetime.now(timezone.utc) < end:
        when = f"it is good from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} (UTC)"
        raise SettingsError(f"{setting}: the certificate is not good today", where=str(path), why=when)


def _check_names(one: x509.Certificate, hosts: Sequence[str], path: Path, setting: str) -> None:
    from cryptography import x509

    try:
        found = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names: list[str] = []
    else:
        addresses = map(str, found.get_values_for_type(x509.IPAddress))
        names = [*found.get_values_for_type(x509.DNSName), *addresses]
    if missing := [host for host in hosts if not any(_covers(name, host) for name in names)]:
        raise SettingsError(
            f"{setting}: the certificate is not good for {', '.join(missing)}",
            where=str(path),
            why=f"it is for {', '.join(names) or 'no name'}",
        )


def _covers(name: str, host: str) -> bool:
    """Whether a certificate for `name`, whose first label may be a star, is good for the host."""
    name, host = name.lower(), host.lower()
    return name == host or (name.startswith("*.") and name[2:] == host.partition(".")[2])
