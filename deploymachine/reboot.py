"""Servers in, the same ones booted anew out: one after the other, each drained, waited for and back in its place."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from deploymachine.cook import carry_out, sudo_password
from deploymachine.drain import Leaving, drain
from deploymachine.errors import ConnectError, DeployMachineError
from deploymachine.hostkeys import locked
from deploymachine.inventory import Server
from deploymachine.remake import serve_again
from deploymachine.runlist import run_lists
from deploymachine.ssh import Connection, connect, login

RECIPES = ("base.reboot",)
POLL = 1.0  # seconds; sshd that refuses everybody while it boots must not take us for an attacker
# Which boot this is, also in a container, whose kernel goes on; and what runs.
LOOK = (
    "cat /proc/sys/kernel/random/boot_id; systemctl show --property=UserspaceTimestampMonotonic;"
    " systemctl list-units --type=service --state=running --plain --no-legend --no-pager"
)
PASSING = ("user@", "run-", "systemd-", "session-", "deploymachine-guard")  # services that come and go by themselves


@dataclass(frozen=True)
class Booted:
    """One boot of a server. identity: differs with every boot. services: what ran when it was looked at."""

    identity: str
    services: frozenset[str]


def reboot(servers: Sequence[Server], leaving: Leaving, patience: float) -> list[str]:
    """Reboot `servers` one by one. leaving: how to drain them. patience: seconds for each to be back with its services.

    Returns notes for the user. Raises what went wrong at the first that fails; those after it are left alone.
    """
    notes = []
    with locked(leaving.deployment.settings.state / "change.lock"):
        for server in servers:
            notes += _reboot_one(server, replace(leaving, servers=[server]), patience)
    return notes


def _reboot_one(server: Server, leaving: Leaving, patience: float) -> list[str]:
    report = leaving.report
    report.expect([server])
    try:
        before = _looked(server, leaving)
        notes = drain(leaving)
        report.phase(server, "reboot")
        _ask(server, leaving)
        report.phase(server, "wait")
        _until_back(server, leaving, before, patience)
        serve_again(leaving, server)
    except BaseException:
        report.end(server, "failed")
        raise
    report.end(server, "ok", "rebooted")
    return notes


def _connected(server: Server, leaving: Leaving) -> Connection:
    settings = leaving.deployment.settings
    return connect(server, login(server, settings), settings)


def _looked(server: Server, leaving: Leaving) -> Booted:
    with _connected(server, leaving) as connection:
        return parsed(connection.run(["sh", "-c", LOOK]).output)


def parsed(output: str) -> Booted:
    """What LOOK printed, as a value."""
    first, second, *units = [*output.splitlines(), "", ""]
    names = (line.split()[0] for line in units if line.strip())
    return Booted(f"{first} {second}", frozenset(name for name in names if not name.startswith(PASSING)))


def _ask(server: Server, leaving: Leaving) -> None:
    wanted = replace(run_lists([server], leaving.deployment)[server.name], recipes=RECIPES)
    with _connected(server, leaving) as connection:
        carry_out(connection, wanted, leaving.report.event, sudo_password(server, leaving.deployment), prove=None)


def _until_back(server: Server, leaving: Leaving, before: Booted, patience: float) -> None:
    """Wait until it is another boot, and all that ran before runs again. Raises ConnectError."""
    missing = "it does not answer"
    for _ in _tries(patience):
        try:
            now = _looked(server, leaving)
        except DeployMachineError as error:
            missing = error.what
            continue
        gone = sorted(before.services - now.services)
        missing = f"these services do not run any more: {', '.join(gone)}" if gone else "it did not go down"
        if now.identity != before.identity and not gone:
            return
    raise ConnectError(
        f"{server.name} was rebooted and is not back",
        where=server.where,
        why=f"after {patience:.0f} s {missing}",
        hint=f"the others were left alone; `fab openstack_console {server.name}` shows what it says",
    )


def _tries(patience: float) -> Iterator[None]:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        time.sleep(POLL)
        yield
