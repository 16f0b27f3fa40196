"""The task that boots servers anew, one after the other."""

from __future__ import annotations

import sys

from invoke.context import Context

from deploymachine.tasks._deployment import deployment
from deploymachine.tasks._prompt import agreed
from deploymachine.tasks._report import reported
from deploymachine.tasks._selection import selected
from deploymachine.tasks._task import task


@task(
    help={
        "yes": "do not ask",
        "wait": "seconds that requests under way may take to end; default 60",
        "patience": "seconds for each to be back with all its services; default 300",
        "force": "go on when a balancer that should send visitors elsewhere can't be reached",
    }
)
def reboot(_: Context, yes: bool = False, wait: int = 60, patience: int = 300, force: bool = False) -> None:
    """Reboot the selected servers one by one: `fab everything reboot`. Asks first; stops at the first that stays away.

    Each is drained from the balancers, rebooted, and waited for until SSH, its services and its sites answer; then
    visitors are sent there again. Changes nothing else.
    """
    from deploymachine.drain import Leaving
    from deploymachine.reboot import reboot as reboot_servers

    here = deployment()
    servers = selected(here.inventory)
    if not agreed(f"Reboot {', '.join(server.name for server in servers)}, one after the other?", yes):
        return
    with reported() as shown:
        notes = reboot_servers(servers, Leaving((), here, shown, float(wait), force), float(patience))
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)
