"""Servers in, their run lists cooked on all of them at once; each outcome is shown and returned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from deploymachine.converge import Result, run
from deploymachine.errors import ConvergeError, DeployMachineError
from deploymachine.inventory import Server
from deploymachine.prove import connect_anew, not_proven
from deploymachine.report import Event, Report
from deploymachine.runlist import RunList, run_lists
from deploymachine.secrets import Secret
from deploymachine.servertypes import Deployment
from deploymachine.ssh import Connection, connect, login, on_each, values


def cook(
    servers: Sequence[Server],
    deployment: Deployment,
    report: Report,
    *,
    dry_run: bool = False,
    phase: str = "cook",
    recipes: tuple[str, ...] = (),
    attributes: Mapping[str, Any] | None = None,
) -> list[Result]:
    """Cook every server's run list as the deploy user through sudo. Raises what went wrong after all were tried.

    recipes: these alone, with the run list's attributes. attributes: these besides.
    All run lists are made before the first connection, so a mistake in the settings changes nothing anywhere.
    """
    lists = run_lists(servers, deployment)
    if recipes:
        more = attributes or {}
        lists = {
            name: replace(wanted, recipes=recipes, attributes={**wanted.attributes, **more})
            for name, wanted in lists.items()
        }

    def one(server: Server) -> Result:
        report.phase(server, phase)
        with connect(server, login(server, deployment.settings), deployment.settings) as connection:
            return apply(connection, lists[server.name], report, sudo_password(server, deployment), dry_run=dry_run)

    return on_all(servers, report, one)


def apply(
    connection: Connection, wanted: RunList, report: Report, password: Secret | None, *, dry_run: bool = False
) -> Result:
    """Cook one run list over an open connection. Raises ConvergeError where it failed, or would have locked us out."""
    return carry_out(connection, wanted, report.event, password, prove=proof(connection, password), dry_run=dry_run)


def carry_out(
    connection: Connection,
    wanted: RunList,
    show: Callable[[Server, Event], None],
    password: Secret | None,
    *,
    prove: Callable[[], None] | None,
    dry_run: bool = False,
) -> Result:
    """Cook one run list and show every event. prove: None where the caller itself sees that nobody is locked out."""
    request, paths = wanted.request(dry_run=dry_run), wanted.cookbook_paths
    return checked(run(connection, request, show, sudo_password=password, cookbook_paths=paths, prove=prove))


def proof(connection: Connection, password: Secret | None) -> Callable[[], None]:
    """Logs in a second time, as `connection` did, becomes root there and tells the server to keep its new way in."""
    server, login = connection.server, connection.login

    def prove() -> None:
        try:
            with connect_anew(server, login, connection.settings) as second:
                confirm(second, password)
        except DeployMachineError as error:
            raise not_proven(server, login, error) from None

    return prove


def on_all(servers: Sequence[Server], report: Report, work: Callable[[Server], Result]) -> list[Result]:
    """Do `work` for every server at once, a row in the report each. Raises what went wrong after all were tried."""

    def one(server: Server) -> Result:
        try:
            result = work(server)
        except BaseException:
            report.end(server, "failed")
            raise
        report.end(server, result.state, result.note)
        return result

    report.expect(servers)
    return values(on_each(servers, one))


def ask(connection: Connection, request: Event, password: Secret | None) -> Event:
    """Have the server do one small thing that is nothing to show; its answer."""
    return checked(run(connection, request, lambda _server, _event: None, sudo_password=password)).result


def confirm(connection: Connection, password: Secret | None, **marker: Any) -> None:
    """Tell the server, over the connection that proves it, to keep its new way in. Raises ConvergeError."""
    if not ask(connection, {"command": "guard", "action": "confirm", **marker}, password)["confirmed"]:
        raise ConvergeError("It was proven too late", why="the server had put it back by itself")


def checked(result: Result) -> Result:
    """The result itself where it went well; raises its error where not."""
    if result.error is not None:
        raise result.error
    return result


def sudo_password(server: Server, deployment: Deployment) -> Secret | None:
    """The deploy user's password, from the secrets file; None where the login is root's already."""
    return None if server.user == "root" else deployment.secrets.password(deployment.secrets.sudo_on(server.name))
