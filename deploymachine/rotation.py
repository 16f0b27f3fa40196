"""The name of a secret in; another value of it on all servers that use it out, and nobody ever showed a wrong one.

Where a value is checked by others than show it, the new one is accepted before anybody uses it, and the former one is
given up when nobody uses it any more. What was interrupted goes on where it stopped: the secrets file knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from deploymachine.batches import batches
from deploymachine.converge import Result, run
from deploymachine.cook import checked, cook, on_all, sudo_password
from deploymachine.errors import ConvergeError, UsageError
from deploymachine.inventory import Server
from deploymachine.report import Report
from deploymachine.secrets import Secret, Secrets, new_password
from deploymachine.servertypes import Deployment
from deploymachine.ssh import connect, login

BATCH = (1, "100%")  # a new value meets one server before it meets them all
PATIENCE = 180  # seconds; a worker has thirty for its requests, a task may take two minutes
Recipes = tuple[str, ...]


@dataclass(frozen=True)
class Uses:
    """Who has to do with a secret. keepers: those who check it, in this order; users: those who show it.

    Each is (servers, recipes); no recipes: all of them. make: a new value; None where only a person can say it.
    how: what carries the rotation out. prove: logs in with the new value before anybody relies on it. lingers: the
    former value is accepted until the next rotation, since what was made with it is still about. warning: what may be
    noticed.
    """

    keepers: Sequence[tuple[Sequence[Server], Recipes]] = ()
    users: Sequence[tuple[Sequence[Server], Recipes]] = ()
    make: Callable[[], str] | None = new_password
    how: Callable[[Rotation], None] = field(default=lambda rotation: gradually(rotation))
    prove: Callable[[Rotation], None] = field(default=lambda _rotation: None)
    lingers: bool = False
    warning: str = ""
    afterwards: str = ""

    @property
    def servers(self) -> list[Server]:
        """All of them, each once; keepers first."""
        return list(dict.fromkeys(one for servers, _ in (*self.keepers, *self.users) for one in servers))


@dataclass(frozen=True)
class Rotation:
    """One secret on its way to the value that is asked for. force: the former one is given up whoever uses it.

    patience: seconds to wait until nobody does.
    """

    name: str
    value: str
    uses: Uses
    deployment: Deployment
    report: Report
    force: bool = False
    patience: float = PATIENCE

    @property
    def secrets(self) -> Secrets:
        return self.deployment.secrets

    def cook(self, servers: Sequence[Server], phase: str, recipes: Recipes = ()) -> None:
        if servers:
            cook(servers, self.deployment, self.report, phase=phase, recipes=recipes)

    def take_in(self, phase: str) -> None:
        """Have all users learn what is so now, one server first."""
        for servers, recipes in self.uses.users:
            for batch in batches(servers, BATCH) if servers else ():
                self.cook(batch, phase, recipes)

    def ask(self, servers: Sequence[Server], phase: str, request: dict[str, Any]) -> list[Result]:
        """What servers answer to a question about credentials. Raises what went wrong after all were asked."""
        deployment = self.deployment

        def one(server: Server) -> Result:
            self.report.phase(server, phase)
            asked = {"command": "credentials", "host": server.name, **request}
            with connect(server, login(server, deployment.settings), deployment.settings) as connection:
                password = sudo_password(server, deployment)
                return checked(run(connection, asked, self.report.event, sudo_password=password))

        return on_all(servers, self.report, one) if servers else []


def rotate(
    name: str,
    value: str | None,
    uses: Uses,
    deployment: Deployment,
    report: Report,
    *,
    force: bool = False,
    patience: float = PATIENCE,
) -> None:
    """Bring another value to all who use it; value: None makes one. Raises what went wrong; a rerun goes on."""
    if value is None:
        if uses.make is None:
            raise UsageError(f"{name} is not one that can be made up", hint="--given asks for its new value")
        value = uses.make()
    if uses.how is not at_once and not value.isprintable():
        raise UsageError(f"{name} can't be that: it holds line breaks, or other characters that nobody sees")
    report.expect(uses.servers)
    uses.how(Rotation(name, value, uses, deployment, report, force, patience))


def gradually(rotation: Rotation) -> None:
    """Accepted by all, used by all, the former one given up."""
    name, uses, secrets = rotation.name, rotation.uses, rotation.secrets
    if uses.lingers and secrets.former(name) is not None and secrets.waiting(name) is None:
        secrets.finish(name)
    if secrets.former(name) is None:
        secrets.begin(name, rotation.value)
        for servers, recipes in uses.keepers:
            rotation.cook(servers, f"accept {name}", recipes)
        if uses.lingers:
            rotation.take_in(f"accept {name}")
        uses.prove(rotation)
        secrets.take_turns(name)
    rotation.take_in(f"use {name}")
    if uses.lingers and not rotation.force:
        return
    if not rotation.force:
        _wait_until_given_up(rotation)
    secrets.finish(name)
    rotation.cook(uses.servers, "cook")


def at_once(rotation: Rotation) -> None:
    """For what nobody compares with another's, or whose users try again: another value, and all are told."""
    rotation.secrets.set(rotation.name, rotation.value)
    rotation.cook(rotation.uses.servers, "cook")


def _wait_until_given_up(rotation: Rotation) -> None:
    name, former = rotation.name, str(rotation.secrets.former(rotation.name))
    values = [Secret(text) for text in dict.fromkeys((former, quote(former, safe="")))]
    nodes = [server for servers, _ in rotation.uses.users for server in servers]
    request = {"action": "holders", "values": values, "patience": rotation.patience}
    results = rotation.ask(nodes, f"wait for the last user of the former {name}", request)
    left = [
        f"{server.name}: {one['program']} (process {one['pid']})"
        for server, result in zip(nodes, results, strict=True)
        for one in result.result["holders"]
    ]
    if left:
        raise ConvergeError(
            f"The new {name} is in use, but the former one, too: it still holds",
            why=f"{len(left)} processes were started with it and go on",
            hint=f"`fab secrets.rotate {name}` goes on when they have ended; --force does not wait for them",
            evidence=left,
        )
