"""A new password for sudo in; every server takes it out, each proven by a second login before the change is kept."""

from __future__ import annotations

from dataclasses import replace

from deploymachine.converge import Result
from deploymachine.cook import carry_out, on_all, proof
from deploymachine.errors import ConvergeError
from deploymachine.inventory import Server
from deploymachine.rotation import Rotation
from deploymachine.runlist import RunList, run_lists
from deploymachine.secrets import SUDO, TURNED, Secret, Secrets
from deploymachine.ssh import connect, login

RECIPES = ("base.users",)


class _Ahead(Secrets):
    """The same secrets, as if every server had the password that waits."""

    def __init__(self, secrets: Secrets, servers: list[str]) -> None:
        self.file, self.sources, self._servers = secrets.file, secrets.sources, servers

    def note(self, name: str) -> list[str]:
        return self._servers if name == TURNED else super().note(name)


def rotate(rotation: Rotation) -> None:
    """Server by server, all at once. Which of them has it already is remembered, so that others go on with the old."""
    secrets, deployment = rotation.secrets, rotation.deployment
    secrets.begin(SUDO, rotation.value)
    servers = rotation.uses.servers
    ahead = _Ahead(secrets, [server.name for server in servers])
    lists = run_lists(servers, replace(deployment, secrets=ahead))

    def one(server: Server) -> Result:
        result = _change(server, replace(lists[server.name], recipes=RECIPES), rotation)
        secrets.add_to_note(TURNED, server.name)
        return result

    on_all(servers, rotation.report, one)
    secrets.take_turns(SUDO)
    secrets.finish(SUDO)
    secrets.forget_note(TURNED)


def _change(server: Server, wanted: RunList, rotation: Rotation) -> Result:
    """As the password that is known there now allows; where that is the new one already, a run was cut short."""
    secrets, settings = rotation.secrets, rotation.deployment.settings
    new = secrets.waiting(SUDO)
    now: Secret | None = secrets.password(secrets.sudo_on(server.name))
    if server.user == "root":
        new = now = None
    rotation.report.phase(server, f"use {rotation.name}")
    with connect(server, login(server, settings), settings) as connection:
        prove = proof(connection, new)
        try:
            return carry_out(connection, wanted, rotation.report.event, now, prove=prove)
        except ConvergeError as error:
            if "does not take the deploy user" not in error.what or new == now:
                raise
            return carry_out(connection, wanted, rotation.report.event, new, prove=prove)
