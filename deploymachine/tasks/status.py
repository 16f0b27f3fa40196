"""Tasks that show how the deployment is and change nothing: status, drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from deploymachine.tasks._deployment import deployment, settings
from deploymachine.tasks._report import reported
from deploymachine.tasks._selection import selected, selected_or_none
from deploymachine.tasks._table import print_json
from deploymachine.tasks._task import task

if TYPE_CHECKING:
    from deploymachine.status.judging import Concern

PENDING = 2


@task(help={"json": "everything there is to know, as JSON"})
def status(_: Context, json: bool = False) -> None:
    """Show how the servers are and what is to be done: `fab status`, `fab appnode status`. Exit code 1 if anything is.

    Load, memory, disk, services, releases, databases, backups, certificates, pending reboots, and whether settings or
    cookbooks have changed since the last cook.
    """
    from deploymachine.status import asking, judging
    from deploymachine.tasks import _status_table as shown

    here = deployment()
    seen, now = asking.look(here, selected_or_none(here.inventory)), judging.today()
    if not seen and not json:
        print(f"The deployment {settings().DEPLOYMENT} has no servers. `fab openstack_bootem` boots them.")
        return
    found = [*_under_way(), *judging.concerns(seen, now)]
    if json:
        print_json({"deployment": settings().DEPLOYMENT, **shown.values(seen, found, now)})
    else:
        shown.show(seen, found, now)
    if found:
        raise Exit(code=1)


def _under_way() -> list[Concern]:
    """A split, a merge or a move that has not come to its end."""
    from deploymachine.split import journal, run
    from deploymachine.status.judging import SOON, Concern

    there = journal.read(settings())
    if there is None:
        return []
    what, why, hint = run.under_way(there)
    return [Concern(next(iter(there.change.before)), "split", SOON, f"{what}, {why}", hint)]


@task()
def drift(_: Context) -> None:
    """Show what differs on the selected servers from what they are to be: `fab everything drift`. Changes nothing.

    Exit code 0: nothing differs, 2: something does, 1: an error.
    """
    from deploymachine.cook import cook

    here = deployment()
    servers = selected(here.inventory)
    with reported() as shown:
        results = cook(servers, here, shown, dry_run=True, phase="compare")
    if any(result.state == "pending" for result in results):
        raise Exit(code=PENDING)
