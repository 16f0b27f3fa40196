"""Tasks of ongoing releases: deploy, rollback, what there is and was, and locks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit

from deploymachine.errors import UsageError
from deploymachine.tasks._deployment import deployment, directory
from deploymachine.tasks._prompt import agreed
from deploymachine.tasks._report import reported
from deploymachine.tasks._selection import selected, selected_or_none
from deploymachine.tasks._task import task

if TYPE_CHECKING:
    from deploymachine.inventory import Server
    from deploymachine.releases.looking import Answer
    from deploymachine.releases.values import Ended, Options
    from deploymachine.servertypes import Deployment

PENDING = 2
SITE = {"site": "a name of SITES in settings.py, or several with commas; default all that are on the selected servers"}
GOING = {
    "batch": "how many servers are switched at once, few before many, as 1,25%,100%; default BATCH in settings.py",
    "lock_wait": "seconds to wait where another deploy holds the lock; default 0",
    "go_on": "leave a server out that can't be reached any more; default all go back to what they served",
    "message": "why: it goes into the audit log",
}


@task(
    help={
        **SITE,
        "ref": "a branch, tag or commit; default the site's branch",
        "dry_run": "show what would be released where (exit code 2 if anything would); changes nothing",
        **GOING,
        "migrate_timeout": "seconds the migrations may take; default as settings.py says",
    }
)
def deploy(
    context: Context,
    site: str = "",
    ref: str = "",
    dry_run: bool = False,
    batch: str = "",
    lock_wait: int = 0,
    go_on: bool = False,
    message: str = "",
    migrate_timeout: int = 0,
) -> None:
    """Release the sites' newest commits on the selected servers: `fab appnode deploy --site blog --ref v1.2`.

    Built everywhere, migrated once, then switched few before many, each drained and seen to answer. Where one fails,
    all go back to what they served.
    """
    from deploymachine.deploy import deploy as release
    from deploymachine.tasks._hooks import hooks

    here = deployment()
    servers = selected(here.inventory)
    sites = _sites(site)
    if dry_run:
        _foresee(here, servers, sites, ref or None, batch)
        return
    hook = hooks(context, directory())
    options = _options(here, "deploy", batch, lock_wait, message)
    options = replace(options, go_on=go_on, hook=hook, migrate_timeout=_positive(migrate_timeout) or None)
    with reported() as shown:
        release(servers, here, shown, sites=sites, ref=ref or None, options=options)


@task(
    help={
        **SITE,
        "to": "the release to go back to, as `fab appnode releases` names it; default the one that was live before",
        **GOING,
    }
)
def rollback(
    _: Context,
    site: str = "",
    to: str = "",
    batch: str = "",
    lock_wait: int = 0,
    go_on: bool = False,
    message: str = "",
) -> None:
    """Go back to an earlier release: `fab appnode rollback --site blog`. Migrations are not undone.

    Servers are switched few before many, each drained and seen to answer.
    """
    from deploymachine.deploy import rollback as go_back

    here = deployment()
    servers = selected(here.inventory)
    options = replace(_options(here, "rollback", batch, lock_wait, message), go_on=go_on)
    with reported() as shown:
        go_back(servers, here, shown, sites=_sites(site), to=to or None, options=options)


@task(help={**SITE, "json": "as JSON"})
def releases(_: Context, site: str = "", json: bool = False) -> None:
    """List the releases, newest first, and which is live: `fab releases`, `fab appnode releases --site blog`."""
    from deploymachine.releases.looking import RELEASES, raised, release_rows

    _show(site, "state", RELEASES, release_rows, json, raised)


@task(help={**SITE, "count": "how many lines; default 30", "json": "as JSON"})
def audit(_: Context, site: str = "", count: int = 30, json: bool = False) -> None:
    """Show who deployed and rolled back what, when, and how it ended: `fab audit`, `fab appnode audit --site blog`."""
    from deploymachine.releases.looking import AUDIT, audit_rows, raised

    _show(site, "audit", AUDIT, lambda found: audit_rows(found, count), json, raised, count=count)


@task(name="status", help={**SITE, "json": "as JSON"})
def lock_status(_: Context, site: str = "", json: bool = False) -> None:
    """Show what each server serves and who holds its lock, alive or dead: `fab deploy.status --site blog`."""
    from deploymachine.releases.looking import STATUS, status_rows

    _show(site, "state", STATUS, status_rows, json)


@task(name="lock", help={**SITE, "message": "why: who deploys is told"})
def lock(_: Context, message: str, site: str = "") -> None:
    """Let nobody deploy on the selected servers until deploy.unlock: `fab appnode deploy.lock --message "a freeze"`."""
    from deploymachine.releases.manual import lock as lock_sites

    here = deployment()
    for line in lock_sites(_known(site, here), selected(here.inventory), here, message):
        print(line)


@task(name="unlock", help={**SITE, "yes": "do not ask, where somebody is at a deploy"})
def unlock(_: Context, site: str = "", yes: bool = False) -> None:
    """Take the locks away from the selected servers: `fab appnode deploy.unlock`. Asks where a live deploy has one."""
    from deploymachine.releases.manual import locked
    from deploymachine.releases.manual import unlock as unlock_sites

    here = deployment()
    there = locked(_known(site, here), selected(here.inventory), here)
    alive = sorted({one.told_of for one in there if one.is_working})
    if alive and not agreed(f"{'; '.join(alive)}. Stop it where it is?", yes):
        return
    for line in unlock_sites(there, here):
        print(line)


def collection() -> Collection:
    """deploy, and what has to do with its lock as deploy.status and the like."""
    found = Collection("deploy", auto_dash_names=False)
    found.add_task(deploy, name="deploy", default=True)
    for one in (lock, unlock, lock_status):
        found.add_task(one, name=one.name)
    return found


def _sites(site: str) -> list[str] | None:
    return list(dict.fromkeys(name for name in site.split(",") if name)) if site else None


def _known(site: str, here: Deployment) -> list[str]:
    from deploymachine.deploy import chosen

    return chosen(_sites(site), here)


def _batches(here: Deployment, batch: str) -> tuple[int | str, ...]:
    from deploymachine.batches import batches

    sizes: tuple[int | str, ...] = tuple(batch.split(",")) if batch else here.settings.BATCH
    batches([], sizes)
    return sizes


def _options(here: Deployment, action: str, batch: str, wait: int, message: str) -> Options:
    from deploymachine.releases.values import Options

    told = _webhooks(here, action)
    return Options(_batches(here, batch), wait=_positive(wait), message=message, ended=told)


def _positive(seconds: int) -> float:
    if seconds < 0:
        raise UsageError(f"{seconds} is no number of seconds", why="it is negative")
    return float(seconds)


def _webhooks(here: Deployment, action: str) -> Ended:
    """What tells the webhooks of NOTIFY how a site's run ended."""

    def ended(site: str, release: str, servers: tuple[str, ...], error: str, seconds: float) -> None:
        from deploymachine.contrib import notify
        from deploymachine.releases.crew import me

        told: dict[str, Any] = {"action": action, "error": error, "by": me(), "seconds": seconds}
        notify.deployed(here, site, release, servers=servers, **told)

    return ended


def _foresee(here: Deployment, servers: Sequence[Server], sites: list[str] | None, ref: str | None, batch: str) -> None:
    from deploymachine.deploy import chosen
    from deploymachine.leading import nodes
    from deploymachine.releases.plan import foresee

    sizes = _batches(here, batch)
    names = [name for name in chosen(sites, here) if nodes(name, servers, here)]
    plans = [foresee(name, ref, servers, here, sizes) for name in names]
    for plan in plans:
        print("\n".join(plan.lines))
        print(f"{plan.site}: {'would be released' if plan.pending else 'nothing to do'}")
    if any(plan.pending for plan in plans):
        raise Exit(code=PENDING)


def _show(
    site: str,
    action: str,
    titles: Sequence[str],
    rows: Callable[[Sequence[Answer]], Any],
    as_json: bool,
    check: Callable[[Sequence[Answer]], None] = lambda _: None,
    **more: Any,
) -> None:
    """Ask the selected servers, all where none is named, and show a table; then raise what kept others from it."""
    from deploymachine.releases.looking import answers
    from deploymachine.tasks._table import print_json, print_table

    here = deployment()
    servers = selected_or_none(here.inventory) or list(here.inventory)
    found = answers(_known(site, here), servers, here, action, **more)
    table = list(rows([answer for answer in found if answer.error is None or titles[0] == "server"]))
    if as_json:
        print_json([dict(zip(titles, row, strict=True)) for row in table])
    else:
        print_table(titles, table)
    sys.stdout.flush()
    check(found)
