"""A site that is worked on: its loadbalancers answer for it, with 503 and a page that says why."""

from __future__ import annotations

from invoke.context import Context

from deploymachine.contrib._site import SITE
from deploymachine.contrib.nginx import balancers
from deploymachine.site_names import chosen
from deploymachine.tasks import deployment, reported, task


@task(
    help={
        **SITE,
        "message": "what the page says; line breaks stay",
        "allow_ip": "addresses and networks that come in all the same, with commas",
        "retry_after": "seconds after which visitors' programs may ask again",
    }
)
def on(_: Context, site: str = "", message: str = "", allow_ip: str = "", retry_after: int = 120) -> None:
    """Answer for a site: `fab loadbalancer maintenance.on --site blog --message 'Back at noon' --allow-ip 192.0.2.7`.

    Visitors get 503 with Retry-After and a page, the site's own ("maintenance_page" in SITES) or ours. Its health page
    answers as ever. It stays so over cooks, deploys and reboots, until maintenance.off.
    """
    from deploymachine.maintenance import notice, switch

    told = notice(message, allow_ip.split(","), retry_after)
    here = deployment()
    name, servers = chosen(site, here.settings.SITES), balancers(here)
    with reported() as shown:
        switch(servers, name, told, here, shown)


@task(help=SITE)
def off(_: Context, site: str = "") -> None:
    """Let the site itself answer again: `fab loadbalancer maintenance.off --site blog`."""
    from deploymachine.maintenance import switch

    here = deployment()
    name, servers = chosen(site, here.settings.SITES), balancers(here)
    with reported() as shown:
        switch(servers, name, None, here, shown)


@task(help=SITE)
def status(_: Context, site: str = "") -> None:
    """Show which sites are in maintenance on the selected loadbalancers: `fab loadbalancer maintenance.status`."""
    from deploymachine.balancer_status import rows
    from deploymachine.tasks._table import print_table

    here = deployment()
    name = chosen(site, here.settings.SITES) if site else ""
    found = [(server, one, state) for server, _nginx, one, state, *_ in rows(balancers(here), here)]
    print_table(("server", "site", "state"), [row for row in found if name in ("", row[1])])
