"""Tasks that boot, list and kill servers on OpenStack."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from invoke.context import Context

from deploymachine.inventory import Server
from deploymachine.report import Report
from deploymachine.tasks._deployment import cloud, inventory, settings
from deploymachine.tasks._prompt import agreed
from deploymachine.tasks._report import reported
from deploymachine.tasks._task import task


@task()
def openstack_bootem(_: Context) -> None:
    """Boot every server that settings.py names. Those that are there are kept."""
    _boot(list(settings().server_names()))


@task(
    positional=["name"],
    help={
        "name": "the new server's name",
        "type": "its type; default: what settings.py says, else the name's letters (appnode2 is an appnode)",
        "flavor": "its flavor; default: what settings.py says",
    },
)
def openstack_boot(_: Context, name: str, type: str = "", flavor: str = "") -> None:
    """Boot one more server: `fab openstack_boot appnode2`."""
    _boot([name], type, flavor)


@task()
def openstack_list(_: Context) -> None:
    """The deployment's servers: name, type, state, addresses, flavor, image."""
    servers = inventory()
    if not len(servers):
        print(f"The deployment {settings().DEPLOYMENT} has no servers. `fab openstack_bootem` boots them.")
        return
    rows = [(s.name, s.type, s.state, s.private_ip, s.public_ip, s.flavor, s.image) for s in servers]
    _print_table(("name", "type", "state", "private", "public", "flavor", "image"), rows)


@task(positional=["name"], help={"name": "the server's name", "yes": "do not ask"})
def openstack_kill(_: Context, name: str, yes: bool = False) -> None:
    """Delete one server and what it owned, after asking."""
    server = cloud().servers().named(name)
    if agreed(f"Delete {server.name} ({server.type}, {server.address}) and everything on it?", yes):
        with reported() as shown:
            cloud().delete([name], _phases(shown, [server]))


def _boot(names: Sequence[str], kind: str = "", flavor: str = "") -> None:
    from deploymachine.cloud import boot_spec

    specs = [boot_spec(settings(), name, kind or None, flavor or None) for name in names]
    here = cloud()
    try:
        with reported() as shown:
            here.boot(specs, _phases(shown, [Server(spec.name, spec.type) for spec in specs]))
    finally:
        for warning in here.warnings:
            print(f"warning: {warning}", file=sys.stderr)


def _phases(shown: Report, servers: Sequence[Server]) -> Callable[[str, str], None]:
    """Turns the cloud's words on each server into rows of the report."""
    from deploymachine.cloud import EXISTS, FAILED, GONE, SSH

    shown.expect(servers)
    by_name = {server.name: server for server in servers}
    ends = {EXISTS: "skipped", SSH: "ok", GONE: "ok", FAILED: "failed"}

    def progress(name: str, phase: str) -> None:
        if phase in {SSH, GONE}:
            shown.event(by_name[name], {"event": "step-done", "step": phase, "state": "changed"})
        if phase in ends:
            shown.end(by_name[name], ends[phase], phase)
        else:
            shown.phase(by_name[name], phase)

    return progress


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*titles, box=None, pad_edge=False, header_style="dim")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
