"""The certificates that visitors are shown: looked at, got, renewed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from deploymachine.contrib._servers import on_servers
from deploymachine.contrib._site import SITE
from deploymachine.contrib.nginx import balancers
from deploymachine.errors import ConvergeError, UsageError
from deploymachine.site_names import chosen
from deploymachine.tasks import deployment, reported, task
from deploymachine.tasks._table import print_table

if TYPE_CHECKING:
    from cryptography import x509

    from deploymachine.inventory import Server
    from deploymachine.remote import Order
    from deploymachine.servertypes import Deployment

LOG = "/var/log/letsencrypt/letsencrypt.log"
FETCH = "deploymachine-certificates-fetch.service"
CA = "/etc/deploymachine/certificates/directory.pem"  # who signed the authority's own certificate
LOOK = (
    f"""test -e "$1" && echo there || grep -h ':ERROR:' {LOG} 2>/dev/null | sed 's/^[^E]*:ERROR:[^:]*://' | tail -n 3"""
)


@task(help={"days": "exit code 1 where one is good for fewer days than that; default 14"})
def show(_: Context, days: int = 14) -> None:
    """What visitors of each site are shown by each loadbalancer: `fab loadbalancer ssl.show`. Changes nothing."""
    from deploymachine.ssh import on_each, values

    here = deployment()

    def one(server: Server) -> list[tuple[list[str], int]]:
        return [_row(server, site, here) for site in here.settings.SITES]

    found = [row for rows in values(on_each(balancers(here), one)) for row in rows]
    print_table(("server", "site", "signed by", "good for", "key", "until", "days"), [row for row, _ in found])
    if any(left < days for _, left in found):
        raise Exit(code=1)


@task(help=SITE)
def issue(_: Context, site: str = "") -> None:
    """Get a site's certificate now, as SITES says, and have nginx take it: `fab loadbalancer ssl.issue --site blog`.

    "acme" asks the authority, on the first loadbalancer, where the domains have to lead; files of your own are read
    anew and checked; a self-signed one is made where there is none for these names. What was served until now serves
    on where that fails.
    """
    here = deployment()
    name, servers = chosen(site, here.settings.SITES), balancers(here)
    _cook(servers, here)
    if here.settings.SITES[name].certificate == "acme":
        _fetched(name, servers, here)
    _tell(name, servers, here)


@task(help=SITE)
def renew(_: Context, site: str = "") -> None:
    """Have a site's certificate made anew, however long it is good for: `fab loadbalancer ssl.renew --site blog`.

    They renew by themselves in time: this is for a key that somebody else may have. An authority counts how often it is
    asked. Files of your own are read anew.
    """
    from deploymachine import certificates

    here = deployment()
    name, servers = chosen(site, here.settings.SITES), balancers(here)
    kind = here.settings.SITES[name].certificate
    if kind == "acme":
        leader = _leader(servers, here)
        trust = [f"REQUESTS_CA_BUNDLE={CA}"] if here.settings.ACME_CA is not None else []
        again = ["certbot", "renew", "--quiet", "--cert-name", name, "--force-renewal", "--no-random-sleep-on-renew"]
        on_servers([leader], _as_root(["env", *trust, *again], "certbot renew"), here, quiet=True)
        _fetched(name, servers, here)
    else:
        if kind == "self-signed":
            here.secrets.set(f"site-{name}-tls-key", certificates.new_key())
        _cook(servers, here)
    _tell(name, servers, here)


def _cook(servers: Sequence[Server], here: Deployment) -> None:
    from deploymachine.cook import cook

    with reported() as shown:
        cook(servers, here, shown, phase="certificate", recipes=("nginx",))


def _leader(servers: Sequence[Server], here: Deployment) -> Server:
    """The loadbalancer that asks the authority for all. Raises UsageError where it was not selected."""
    leader = here.inventory.serving("loadbalancer")[0]
    if leader not in servers:
        raise UsageError(
            f"{leader.name} gets the certificates for all loadbalancers, and was not selected",
            hint=f"`fab server:{leader.name} ssl...`",
        )
    return leader


def _fetched(site: str, servers: Sequence[Server], here: Deployment) -> None:
    """Have the other loadbalancers take it now. Raises ConvergeError where the authority gave none."""
    leader = _leader(servers, here)
    live = f"/etc/letsencrypt/live/{site}/fullchain.pem"
    said = on_servers([leader], _as_root(["sh", "-c", LOOK, "sh", live]), here, quiet=True)[leader.name]
    if said.strip() != "there":
        raise ConvergeError(
            f"There is no certificate of {site} yet",
            where=leader.where,
            why="the authority gave none; what was served until now serves on",
            hint=f"do its domains lead to the loadbalancers? `fab dns.check`; the whole log: {LOG}",
            evidence=said.splitlines(),
        )
    if others := [server for server in servers if server != leader]:
        on_servers(others, _as_root(["systemctl", "start", FETCH]), here, quiet=True)


def _tell(site: str, servers: Sequence[Server], here: Deployment) -> None:
    rows = [_row(server, site, here)[0] for server in servers]
    print_table(("server", "site", "signed by", "good for", "key", "until", "days"), rows)


def _as_root(argv: Sequence[str], called: str = "") -> Order:
    from deploymachine.remote import Order

    return Order(argv, "root", called=called or argv[0])


def _row(server: Server, site: str, here: Deployment) -> tuple[list[str], int]:
    """What a visitor is shown there, and for how many days more."""
    from deploymachine.balancer_status import shown, told

    domains = here.settings.SITES[site].domains
    found = shown(server.address, domains[0] if domains else None)
    signer, until, days = told(found)
    if found is None:
        return [server.name, site, "NOBODY ANSWERS", "", "", "", ""], 0
    left = (found.not_valid_after_utc - datetime.now(timezone.utc)).days
    return [server.name, site, signer, ", ".join(_names(found)), _key(found), until, days], left


def _names(certificate: x509.Certificate) -> list[str]:
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(one.value) for one in names]


def _key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    curve = getattr(key, "curve", None)
    return str(curve.name) if curve is not None else f"RSA {getattr(key, 'key_size', '')}"
