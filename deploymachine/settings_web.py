"""What settings.py says of a site at the loadbalancer in, frozen and checked values out: certificate, sizes, rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from deploymachine.settings_servers import Frozen

if TYPE_CHECKING:
    from deploymachine.settings import Site

KINDS = ("self-signed", "acme")


class CertificateFiles(Frozen):
    """A certificate of the user's own: PEM files, the certificate with its chain, its own first."""

    certificate: Annotated[str, Field(min_length=1)]
    key: Annotated[str, Field(min_length=1)]


class RateLimit(Frozen):
    """per_second: requests of one visitor; burst: how many more at once are served before others are turned away."""

    per_second: Annotated[int, Field(ge=1, le=100_000)]
    burst: Annotated[int, Field(ge=0, le=100_000)] = 20


def _certificate(value: Any) -> Any:
    if value in KINDS or isinstance(value, CertificateFiles):
        return value
    files = isinstance(value, dict) and set(value) == {"certificate", "key"}
    if files and all(isinstance(path, str) and path for path in value.values()):
        return CertificateFiles(**value)
    raise ValueError('is "self-signed", "acme", or {"certificate": file, "key": file}')


Certificate = Annotated[Literal["self-signed", "acme"] | CertificateFiles, BeforeValidator(_certificate)]
Megabytes = Annotated[int, Field(ge=1, le=102_400)]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254)]
Directory = Annotated[str, StringConstraints(pattern=r"^https://[^\s'\"]+$")]


def check(sites: Mapping[str, Site], email: str | None) -> None:
    """Raises ValueError where a visitor's request could mean two sites, or nobody could ask for a certificate."""
    _check_names(sites)
    for name, site in sites.items():
        if site.certificate != "acme":
            continue
        if not site.domains:
            raise ValueError(f"SITES[{name!r}]['certificate']: 'acme' needs 'domains': the names to ask it for")
        if email is None:
            raise ValueError(f"ACME_EMAIL is not set: SITES[{name!r}]['certificate'] is 'acme', whose account it names")


def _check_names(sites: Mapping[str, Site]) -> None:
    owners: dict[str, str] = {}
    for name, site in sites.items():
        for domain in [one.lower() for one in site.domains] or ["*"]:
            if domain in owners and domain == "*":
                raise ValueError(
                    f"SITES[{name!r}]['domains']: none, as {owners[domain]!r} has; one site can do without"
                )
            if domain in owners:
                raise ValueError(f"SITES[{name!r}]['domains']: {domain} is one of {owners[domain]!r} already")
            owners[domain] = name
