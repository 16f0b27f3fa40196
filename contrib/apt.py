"""Packages of the servers."""

from __future__ import annotations

from collections.abc import Sequence

from invoke.context import Context
from invoke.exceptions import Exit

from deploymachine.batches import batches
from deploymachine.inventory import Server
from deploymachine.tasks import deployment, reported, selected, task

BATCH = (1, "25%", "100%")  # servers, or a part of all: a bad upgrade meets one of them first
RECIPES = ("base.upgrade",)
REBOOT = "/run/reboot-required"
PENDING = 2


@task(
    help={
        "dry_run": "show what would be upgraded (exit code 2 if something would), change nothing",
        "batch": "how many at once, in turn: numbers or parts of all; default 1,25%,100%",
    }
)
def upgrade(_: Context, dry_run: bool = False, batch: str = "") -> None:
    """Upgrade every package to the newest version: `fab everything apt.upgrade`. In batches; stops where one fails.

    Changes packages on the selected servers and restarts what they restart; removes none. First one server, then a
    quarter of them, then the rest. Says at the end which need a reboot: `fab everything reboot` does that one by one.
    """
    from deploymachine.cook import cook

    here = deployment()
    servers = selected(here.inventory)
    sizes = [word.strip() for word in batch.split(",")] if batch else BATCH
    states: set[str] = set()
    groups = [servers] if dry_run else batches(servers, sizes)
    with reported() as shown:
        for group in groups:
            results = cook(group, here, shown, dry_run=dry_run, phase="upgrade", recipes=RECIPES)
            states.update(result.state for result in results)
    _tell_reboots(servers)
    if "pending" in states:
        raise Exit(code=PENDING)


def _tell_reboots(servers: Sequence[Server]) -> None:
    from deploymachine.ssh import connect, login, on_each, values

    here = deployment()

    def one(server: Server) -> str:
        with connect(server, login(server, here.settings), here.settings) as connection:
            return "" if connection.run(["test", "-e", REBOOT]).code else server.name

    names = [name for name in values(on_each(servers, one)) if name]
    if names:
        print(f"These need a reboot: {', '.join(names)}. `fab {' '.join(f'server:{n}' for n in names)} reboot`")
