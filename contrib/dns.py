"""The names that visitors use: where each should lead, and whether it does.

A provider's own way to set them goes into fab_local.py: `records(deployment())` is what to set, one (name, type,
address) each, and a task there called `dns_push`, say, hands them to the provider's program or library.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from deploymachine.errors import UsageError
from deploymachine.tasks import deployment, task
from deploymachine.tasks._table import print_table

if TYPE_CHECKING:
    from deploymachine.servertypes import Deployment

TTL = 300  # seconds
Record = tuple[str, str, str]  # name, type, address


@task(help={"zone": "as lines of a zone file, which most providers take in"})
def show(_: Context, zone: bool = False) -> None:
    """Which names should lead to which addresses: `fab dns.show --zone`. Those are the loadbalancers' own."""
    here = deployment()
    found = records(here)
    if zone:
        for name, kind, address in found:
            print(f"{name}. {TTL} IN {kind} {address}")
        return
    sites = {domain: site for site, one in here.settings.SITES.items() for domain in one.domains}
    print_table(("name", "type", "address", "site"), [(*one, sites[one[0]]) for one in found])


@task()
def check(_: Context) -> None:
    """Whether every name leads to the loadbalancers, and nowhere else: `fab dns.check`. Exit code 1 where one does not.

    Asks the name servers that this machine uses; what they know may be as old as the records' time to live.
    """
    here = deployment()
    wanted: dict[str, set[str]] = {}
    for name, _kind, address in records(here):
        wanted.setdefault(name, set()).add(address)
    rows, wrong = [], False
    for name, addresses in wanted.items():
        found, said = resolved(name)
        missing, more = sorted(addresses - found), sorted(found - addresses)
        right = not said and not more and (not missing or bool(found))
        wrong = wrong or not right
        told = said or ("leads elsewhere: " + ", ".join(more) if more else "right" if not missing else "right, in part")
        rows.append((name, ", ".join(sorted(found)), told, ", ".join(missing)))
    print_table(("name", "leads to", "that is", "not to"), rows)
    if wrong:
        raise Exit(code=1)


def records(here: Deployment) -> list[Record]:
    """What has to be set: (name, "A" or "AAAA", address) for every domain of SITES and every loadbalancer.

    Raises UsageError where there is no domain, or no loadbalancer yet.
    """
    balancers = here.inventory.serving("loadbalancer")
    addresses = [ipaddress.ip_address(server.address) for server in balancers if server.address]
    domains = sorted({domain.lower() for site in here.settings.SITES.values() for domain in site.domains})
    if not domains:
        raise UsageError(
            "No site has a name of its own", why='no entry of SITES has "domains"', hint="settings.py.dist shows it"
        )
    if not addresses:
        raise UsageError("There is no loadbalancer that a name could lead to", hint="`fab openstack_bootem` boots it")
    return [(name, "A" if one.version == 4 else "AAAA", str(one)) for name in domains for one in addresses]


def resolved(name: str) -> tuple[set[str], str]:
    """The addresses that it leads to from here, and why there are none."""
    import socket

    try:
        found = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return set(), f"not known: {getattr(error, 'strerror', None) or error}"
    return {str(one[4][0]) for one in found}, ""
