"""Packages of the servers."""

from __future__ import annotations

import re
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
UPDATE = "DEBIAN_FRONTEND=noninteractive exec apt-get -q -o DPkg::Lock::Timeout=60 -o Acquire::Retries=2 update 2>&1"
LOOK = "LC_ALL=C exec apt-get -s -o Debug::NoLocking=1 upgrade --with-new-pkgs"
# Inst tzdata [2026a-0] (2026b-0 Debian:13.2/stable, Debian-Security:13/stable-security [all])
INSTALLS = re.compile(r"Inst (?P<package>\S+) (?:\[(?P<old>[^]]*)\] )?\((?P<new>\S+)(?P<origin>[^)]*)\)")


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


@task()
def update(_: Context) -> None:
    """Have the servers ask anew which packages there are: `fab everything apt.update`. Upgrades nothing."""
    from deploymachine.contrib._servers import on_servers
    from deploymachine.remote import Order

    here = deployment()
    servers = selected(here.inventory)
    on_servers(servers, Order(["sh", "-c", UPDATE], "root", called="apt-get update"), here, quiet=True)
    _tell_waiting(servers)


@task(name="list")
def list_(_: Context) -> None:
    """Which packages an upgrade would bring, as of the last apt.update: `fab everything apt.list`. Changes nothing."""
    _tell_waiting(selected(deployment().inventory))


def _tell_waiting(servers: Sequence[Server]) -> None:
    from deploymachine.contrib._servers import on_servers
    from deploymachine.remote import Order
    from deploymachine.tasks._table import print_table

    told = on_servers(servers, Order(["sh", "-c", LOOK], called="apt-get -s upgrade"), deployment(), quiet=True)
    rows = [[name, *row] for name, text in told.items() for row in waiting(text)]
    if not rows:
        print(f"{', '.join(told)}: every package is the newest that is known")
        return
    print_table(("server", "package", "is", "would be", "for security"), rows)


def waiting(simulated: str) -> list[list[str]]:
    """[package, version, new version, "yes" or ""] of each line of `apt-get -s` that installs one."""
    found = [match for line in simulated.splitlines() if (match := INSTALLS.match(line))]
    return [[one["package"], one["old"] or "", one["new"], "yes" * ("ecurity" in one["origin"])] for one in found]


def _tell_reboots(servers: Sequence[Server]) -> None:
    from deploymachine.ssh import connect, login, on_each, values

    here = deployment()

    def one(server: Server) -> str:
        with connect(server, login(server, here.settings), here.settings) as connection:
            return "" if connection.run(["test", "-e", REBOOT]).code else server.name

    names = [name for name in values(on_each(servers, one)) if name]
    if names:
        print(f"These need a reboot: {', '.join(names)}. `fab {' '.join(f'server:{n}' for n in names)} reboot`")
