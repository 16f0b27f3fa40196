"""The servers of one run in, their connections out: each is opened at the first request and kept to the end."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from deploymachine import converge, ssh
from deploymachine.converge import Result
from deploymachine.cook import checked, sudo_password
from deploymachine.errors import ConnectError, DeployMachineError
from deploymachine.inventory import Server
from deploymachine.leading import nodes
from deploymachine.releases.balancers import Balancers
from deploymachine.releases.job import Job
from deploymachine.releases.values import Released, Request
from deploymachine.report import Report
from deploymachine.servertypes import Deployment, tasknode

LONGEST_SWITCH = 300  # seconds beyond two health checks; a balancer that heard nothing by then puts servers back in


def me() -> str:
    """Who gives the orders, for locks and logs: "ada@laptop"."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


class Crew:
    """The servers of one run, and the balancers in front of them; a context manager."""

    def __init__(self, deployment: Deployment, report: Report, servers: Sequence[Server]) -> None:
        self.deployment = deployment
        self.report = report
        self.servers = sorted(servers, key=lambda server: server.name)
        self._connections: dict[str, ssh.Connection] = {}
        self._failed: set[str] = set()
        self._notes: list[str] = []

    def __enter__(self) -> Crew:
        self.report.expect(self.servers)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        balancers = [server for server in self.deployment.inventory if server.name in self._connections]
        for server in [*self.servers, *(one for one in balancers if one not in self.servers)]:
            note = "; ".join(self._notes) if server in self.servers else ""
            self.report.end(server, "failed" if server.name in self._failed else "ok", note)
        with ExitStack() as stack:
            for connection in self._connections.values():
                stack.callback(connection.close)

    def job(self, site: str) -> Job:
        """The site on those of the servers that do work of it."""

        def attributes(server: Server) -> Mapping[str, Any]:
            return tasknode.release_attributes(site, server, self.deployment)

        servers = nodes(site, self.servers, self.deployment)
        return Job(
            site,
            servers,
            attributes,
            self.run,
            self.report.phase,
            me(),
            beat=self.beat,
            balancers=self._balancers(site),
            wheels=self.deployment.settings.state / "wheels" / site,
        )

    def _balancers(self, site: str) -> Balancers:
        inventory, described = self.deployment.inventory, self.deployment.settings.SITES[site]

        def ask(server: Server, request: Request) -> dict[str, Any]:
            self.report.phase(server, f"{site}: drain" if request["down"] else f"{site}: back in")
            return checked(self.run(server, request)).result

        appnodes = [server for server in inventory.serving("appnode") if server.private_ip]
        seconds = 2 * described.health_timeout + LONGEST_SWITCH
        balancers = inventory.serving("loadbalancer")
        return Balancers(site, described.port, balancers, appnodes, ask, seconds)

    def note(self, released: Released, more: str = "") -> Released:
        """Have the report say what is served now."""
        told = [f"{released.site} serves {released.release}", released.note, more]
        self._notes += [text for text in told if text]
        return released

    def run(self, server: Server, request: Request, attachment: bytes = b"") -> Result:
        """Carry out one request; its events are shown."""
        try:
            result = self._run(server, request, attachment)
        except DeployMachineError:
            self._failed.add(server.name)
            raise
        if not result.ok:
            self._failed.add(server.name)
        elif request.get("action") == "begin":  # what refused it before was somebody's lock
            self._failed.discard(server.name)
        return result

    def beat(self, server: Server, request: Request) -> None:
        """Carry out a request that nobody sees, over a connection that is open already, or not at all."""
        connection = self._connections.get(server.name)
        if connection is not None:
            converge.run(connection, request, lambda *_: None, sudo_password=sudo_password(server, self.deployment))

    def _run(self, server: Server, request: Request, attachment: bytes) -> Result:
        settings = self.deployment.settings
        if server.name not in self._connections:
            self._connections[server.name] = ssh.connect(server, ssh.login(server, settings), settings)
        connection = self._connections[server.name]
        try:
            password = sudo_password(server, self.deployment)
            return converge.run(connection, request, self.report.event, sudo_password=password, attachment=attachment)
        except ConnectError:
            self._connections.pop(server.name, None)  # the next request, a way back perhaps, tries a new one
            connection.close()
            raise
