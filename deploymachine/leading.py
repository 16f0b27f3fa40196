"""Servers that run a site's tasks in, what the appnodes that they follow serve out: tasks and pages are one release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deploymachine import ssh
from deploymachine.cook import ask, sudo_password
from deploymachine.errors import ConvergeError
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment, tasknode

State = Mapping[str, Any]


def leader(site: str, servers: Sequence[Server], deployment: Deployment) -> State | None:
    """What an appnode outside `servers` has of the site, where none of these is one.

    None where there is none, or none that serves the site yet. Raises ConnectError.
    """
    appnodes = deployment.inventory.serving("appnode")
    if any(server in appnodes for server in servers):
        return None
    states = (state_of(site, server, deployment) for server in appnodes)
    return next((state for state in states if state.get("current")), None)


def beside(site: str, servers: Sequence[Server], deployment: Deployment) -> list[State]:
    """What the appnodes have of the site that are not among `servers`, where some of these are appnodes, too.

    One that does not answer is left out: it is asked so that a commit has the same name everywhere.
    """
    appnodes = deployment.inventory.serving("appnode")
    others = [server for server in appnodes if server not in servers and server.state == "ACTIVE"]
    if len(others) == len(appnodes):
        return []
    outcomes = ssh.on_each(others, lambda server: state_of(site, server, deployment))
    return [outcome.value for outcome in outcomes if outcome.value is not None]


def nodes(site: str, servers: Iterable[Server], deployment: Deployment) -> list[Server]:
    """Those of the servers that do work of the site, the ones that serve it first."""
    able = [server for server in servers if tasknode.runs(site, server, deployment)]
    appnodes = deployment.inventory.serving("appnode")
    return sorted(able, key=lambda server: (server not in appnodes, server.name))


def state_of(site: str, server: Server, deployment: Deployment) -> State:
    """What lies and runs of the site on a server; nothing where it was not cooked yet."""
    described = {**tasknode.release_attributes(site, server, deployment), "environment": None}
    request = {"command": "release", "action": "state", "host": server.name, "site": described}
    password = sudo_password(server, deployment)
    with ssh.connect(server, ssh.login(server, deployment.settings), deployment.settings) as connection:
        try:
            return ask(connection, request, password)
        except ConvergeError:
            return {}
