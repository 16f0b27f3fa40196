"""Tasks that boot and list servers on OpenStack."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from deploymachine.errors import UsageError
from deploymachine.inventory import Server
from deploymachine.tasks._deployment import cloud_now, inventory, settings, settings_now
from deploymachine.tasks._prompt import agreed
from deploymachine.tasks._report import reported
from deploymachine.tasks._table import print_json, print_table, written_age
from deploymachine.tasks._task import task
from deploymachine.tasks.ssh_config import keep_up

if TYPE_CHECKING:
    from deploymachine.cloud import Asked
    from deploymachine.report import Report

BAKED = "boot from the image that openstack_bake made of the type, when it is there and current (the default)"
YES = "do not ask before a broken server is deleted and made anew"


@task(help={"yes": YES, "baked": BAKED})
def openstack_bootem(_: Context, yes: bool = False, baked: bool = True) -> None:
    """Boot every server that settings.py names. Those that run are kept, those that are broken are mended."""
    names = list(settings().server_names())
    if not names:
        print("OPENSTACK_SERVERS in settings.py names no server: there is nothing to boot.")
        return
    _boot(names, yes=yes, baked=baked)


@task(
    positional=["name"],
    help={
        "name": "the new server's name",
        "type": "its type; default: what settings.py says, else the name's letters (appnode2 is an appnode)",
        "flavor": "its flavor: a name, an id or 'ram >= 2048, vcpus >= 2'; default: what settings.py says",
        "image": "its image: a name, an id, 'debian-13*' or os_distro=debian,os_version=13",
        "volume": "boot from a volume of that many GB",
        "network": "its network, or several: private,storage",
        "zone": "its availability zone; default: the one where the fewest of its type are",
        "count": "boot that many: `--count 3 appnode2` boots appnode2, appnode3 and appnode4",
        "yes": YES,
        "baked": BAKED,
    },
)
def openstack_boot(
    _: Context,
    name: str,
    type: str = "",
    flavor: str = "",
    image: str = "",
    volume: int = 0,
    network: str = "",
    zone: str = "",
    count: int = 1,
    yes: bool = False,
    baked: bool = True,
) -> None:
    """Boot one more server: `fab openstack_boot appnode2`. One that is there is kept, or mended where it is broken."""
    from deploymachine.cloud import Asked, counted

    if volume < 0:
        raise UsageError(f"--volume {volume} can't be done", why="it is a number of GB")
    networks = tuple(word for word in network.split(",") if word)
    asked = Asked(type or None, flavor or None, image or None, volume or None, networks, zone or None)
    _boot(counted(name, count), asked, yes, baked)


@task(help={"json": "as JSON, with ids and times"})
def openstack_list(_: Context, json: bool = False) -> None:
    """The deployment's servers: name, type, state, addresses, flavor, image, age."""
    servers = inventory()
    if json:
        print_json([_told(server) for server in servers])
    elif not len(servers):
        print(f"The deployment {settings().DEPLOYMENT} has no servers. `fab openstack_bootem` boots them.")
    else:
        print_table(
            ("name", "type", "state", "private", "public", "flavor", "image", "age"), [_row(s) for s in servers]
        )


def _row(server: Server) -> tuple[str, ...]:
    known = (server.name, server.type, server.state, server.private_ip, server.public_ip, server.flavor, server.image)
    return (*known, written_age(server.age()))


def _told(server: Server) -> dict[str, Any]:
    told = dataclasses.asdict(server)
    del told["host_key"]
    return told | {"age": server.age()}


def _boot(names: Sequence[str], asked: Asked | None = None, yes: bool = False, baked: bool = True) -> None:
    from deploymachine.bake import from_baked
    from deploymachine.cloud import boot_spec

    specs = [boot_spec(settings_now(), name, asked=asked) for name in names]
    here = cloud_now()
    if baked and settings().OPENSTACK_BAKED_IMAGES:
        specs, lines = from_baked(here, settings(), specs)
        print(*lines, sep="\n", end="\n" if lines else "", flush=True)
    try:
        with reported() as shown:
            here.boot(specs, _phases(shown, [Server(spec.name, spec.type) for spec in specs]), _agree(yes))
    finally:
        for warning in here.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        keep_up()


def _agree(yes: bool) -> Callable[[str], bool]:
    """Asks where somebody can answer; elsewhere only --yes agrees, and what is not agreed to is told as an error."""
    return lambda question: yes or (sys.stdin.isatty() and agreed(question, False))


def _phases(shown: Report, servers: Sequence[Server]) -> Callable[[str, str], None]:
    """Turns the cloud's words on each server into rows of the report."""
    from deploymachine.cloud import EXISTS, FAILED, SSH

    by_name = {server.name: server for server in servers}
    ends = {EXISTS: "skipped", SSH: "ok", FAILED: "failed"}

    def progress(name: str, phase: str) -> None:
        shown.expect(servers)  # only now: before, there may be questions to answer
        if phase == SSH:
            shown.event(by_name[name], {"event": "step-done", "step": phase, "state": "changed"})
        if phase in ends:
            shown.end(by_name[name], ends[phase], phase)
        else:
            shown.phase(by_name[name], phase)

    return progress
