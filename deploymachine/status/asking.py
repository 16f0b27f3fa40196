"""Servers in, what each tells of itself out: one connection and one command each, all at once, in bounded time."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from deploymachine.bundle import bundle
from deploymachine.cook import ask, sudo_password
from deploymachine.errors import ConnectError, DeployMachineError, UnknownHostKeyError
from deploymachine.inventory import Server
from deploymachine.runlist import run_lists
from deploymachine.servertypes import Deployment
from deploymachine.settings import Settings
from deploymachine.ssh import connect, login, on_each

CONNECT_SECONDS = 5.0  # at most: who looks at a fleet waits for the slowest
ANSWER_SECONDS = 30.0  # the first time the bundle has to travel, too
ABSENT = "ABSENT"  # the state of a server that settings.py names and nobody booted


@dataclass(frozen=True)
class Wanted:
    """What the last good cook of a server must have been to be today's. error: why that can't be said."""

    fingerprint: str = ""
    bundle: str = ""
    error: DeployMachineError | None = None


@dataclass(frozen=True)
class Seen:
    """One server as it was seen. answer: what its agent told (target/status); error: why it told nothing."""

    server: Server
    answer: Mapping[str, Any] | None = None
    error: DeployMachineError | None = None
    wanted: Wanted = field(default_factory=Wanted)

    @property
    def provisioned(self) -> bool:
        """Provisioning pins the key of the port it opens; before, there is none."""
        return not isinstance(self.error, UnknownHostKeyError)


def look(deployment: Deployment, chosen: Sequence[Server] | None = None) -> list[Seen]:
    """The servers, sorted by name; chosen None: all there are, and those that settings.py wants besides."""
    settings = deployment.settings
    hasty = settings.model_copy(update={"SSH_CONNECT_TIMEOUT": min(CONNECT_SECONDS, settings.SSH_CONNECT_TIMEOUT)})
    every = deployment.inventory.servers if chosen is None else chosen
    servers = [server for server in every if server.state == "ACTIVE"]
    with ThreadPoolExecutor(max_workers=1) as pool:
        # Meanwhile: what settings inherit from this machine may take a process or two to find out.
        wanted = pool.submit(_wanted, servers, deployment)
        outcomes = on_each(servers, lambda server: told(server, deployment, hasty))
        lists = wanted.result()
    answers = {outcome.server.name: outcome for outcome in outcomes}
    seen = [
        Seen(server, outcome.value, outcome.error, lists[server.name])
        if (outcome := answers.get(server.name)) is not None
        else Seen(server)
        for server in every
    ]
    return sorted([*seen, *(_absent(deployment) if chosen is None else ())], key=lambda one: one.server.name)


def told(server: Server, deployment: Deployment, settings: Settings) -> Mapping[str, Any]:
    """What the server tells of itself. Raises ConnectError, ConvergeError; silence is ended after ANSWER_SECONDS."""
    with connect(server, login(server, settings), settings) as connection:
        clock = threading.Timer(ANSWER_SECONDS, connection.close)
        clock.daemon = True
        clock.start()
        try:
            return ask(connection, {"command": "status", "host": server.name}, sudo_password(server, deployment))
        except ConnectError as error:
            if clock.is_alive():
                raise
            what = f"{server.name} took the connection and then did not answer within {ANSWER_SECONDS:.0f} s"
            raise ConnectError(what, where=server.where, hint=error.hint) from None
        finally:
            clock.cancel()


def _wanted(servers: Sequence[Server], deployment: Deployment) -> dict[str, Wanted]:
    return {server.name: _wanted_of(server, deployment) for server in servers}


def _wanted_of(server: Server, deployment: Deployment) -> Wanted:
    try:
        wanted = run_lists([server], deployment)[server.name]
    except DeployMachineError as error:
        return Wanted(error=error)
    return Wanted(wanted.fingerprint, bundle(wanted.cookbook_paths).hash)


def _absent(deployment: Deployment) -> list[Seen]:
    there = {server.name for server in deployment.inventory}
    named = deployment.settings.server_names()
    return [
        Seen(Server(name, kind, state=ABSENT, flavor=flavor))
        for name, (kind, flavor) in named.items()
        if name not in there
    ]
