"""nginx on the loadbalancers: sites switched on, off and into maintenance, its configuration tried and taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from deploymachine.errors import UsageError
from deploymachine.inventory import Server
from deploymachine.tasks import deployment, selected, task

if TYPE_CHECKING:
    from deploymachine.servertypes import Deployment

SITE = {"site": "a name of SITES in settings.py"}


@task(
    help={
        **SITE,
        "off": "back from it",
        "message": "what the page says; line breaks stay",
        "allow_ip": "addresses and networks that come in all the same, with commas",
        "retry_after": "seconds after which visitors' programs may ask again",
    }
)
def maintenance(
    _: Context, site: str, off: bool = False, message: str = "", allow_ip: str = "", retry_after: int = 120
) -> None:
    """Answer for a site with 503 and a page that says why: `fab loadbalancer nginx.maintenance --site blog`.

    The page is the site's own ("maintenance_page" in SITES) or ours. Its health page goes on answering as ever. It
    stays so over cooks and reboots, until --off.
    """
    from deploymachine.maintenance import notice, switch
    from deploymachine.tasks._report import reported

    told = None if off else notice(message, allow_ip.split(","), retry_after)
    here = deployment()
    servers = balancers(here)
    with reported() as shown:
        switch(servers, site, told, here, shown)


@task(help=SITE)
def ensite(_: Context, site: str) -> None:
    """Serve a site again that was taken off with nginx.dissite."""
    _switch(site, "enabled", True)


@task(help=SITE)
def dissite(_: Context, site: str) -> None:
    """Know a site's names no more, as if it were not there, until nginx.ensite; cooking leaves it so."""
    _switch(site, "enabled", False)


@task()
def test(_: Context) -> None:
    """Try the configuration that lies on the selected loadbalancers; nothing is changed."""
    _cook(deployment(), "nginx.test")


@task()
def reload(_: Context) -> None:
    """Try the configuration and take it, without losing a request."""
    _cook(deployment(), "nginx.reload")


@task()
def status(_: Context) -> None:
    """Show each site on each selected loadbalancer: on, off or in maintenance, and the certificate of visitors."""
    from deploymachine.balancer_status import rows
    from deploymachine.tasks._table import print_table

    here = deployment()
    print_table(("server", "nginx", "site", "state", "certificate", "until", "days"), rows(balancers(here), here))


def _switch(site: str, name: str, state: bool) -> None:
    from deploymachine.logs import known_site

    here = deployment()
    _cook(here, "nginx", {"nginx.switch": {known_site(site, here): {name: state}}})


def _cook(here: Deployment, recipe: str, attributes: dict[str, object] | None = None) -> None:
    from deploymachine.cook import cook
    from deploymachine.tasks._report import reported

    servers = balancers(here)
    with reported() as shown:
        cook(servers, here, shown, phase=recipe, recipes=(recipe,), attributes=attributes)


def balancers(here: Deployment) -> list[Server]:
    """Those of the selected servers that are loadbalancers, whatever else they are. Raises UsageError."""
    there = here.inventory.serving("loadbalancer")
    chosen = selected(here.inventory)
    found = [server for server in chosen if server in there]
    if not found:
        raise UsageError(
            f"There is no nginx on {', '.join(server.name for server in chosen)}",
            why=f"the loadbalancers are {', '.join(server.name for server in there) or 'not there yet'}",
            hint="begin with `fab loadbalancer`, or with `fab appbalancer` and the like where they are part of such",
        )
    return found
