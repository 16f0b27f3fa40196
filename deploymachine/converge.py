"""A request and the bundle in, over one connection and one command; a stream of events out, ending in a Result."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploymachine.bundle import TARGET, Bundle, bundle
from deploymachine.errors import ConvergeError, DeployMachineError
from deploymachine.inventory import Server
from deploymachine.secrets import Secret, on_the_wire
from deploymachine.ssh import Connection, broken, cut

if TYPE_CHECKING:
    import paramiko

Event = dict[str, Any]
MARK = "-- deploymachine --"
# Skips everything up to the mark (a password that sudo did not ask for must go nowhere), then runs what follows.
LOADER = f"""import sys
b = sys.stdin.buffer
for line in iter(b.readline, b""):
    if line == b"{MARK}\\n":
        exec(compile(b.read(int(b.readline())), "bootstrap", "exec"))
"""
NO_PYTHON = 127
STDERR_LINES = 12
UNDO = b"undo\n"


@dataclass(frozen=True)
class Result:
    """How a run on a server ended.

    state: ok, skipped, pending (a dry run that would change something) or failed. totals: resources per state.
    result: what the command answered. error: what to show where it failed. note: a word on it for the report.
    """

    state: str
    totals: dict[str, int] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    error: ConvergeError | None = None
    note: str = ""

    @property
    def ok(self) -> bool:
        return self.state != "failed"

    @property
    def changed(self) -> int:
        return self.totals.get("changed", 0)


def run(
    connection: Connection,
    request: Event,
    show: Callable[[Server, Event], None],
    *,
    sudo_password: Secret | None = None,
    cookbook_paths: tuple[Path, ...] = (),
    attachment: bytes = b"",
    prove: Callable[[], None] | None = None,
) -> Result:
    """Carry out `request` on the server as root and show every event. sudo_password: None where we are root already.

    prove: called when the run has changed the way in; raises where that does not work any more, and the server puts it
    back. Raises that error, ConvergeError where the run could not begin (no python3, sudo refuses), ConnectError where
    it was cut.
    """
    load = bundle(cookbook_paths)
    channel = connection.open(command_line(sudo_password is not None))
    talk = _Talk(connection.server, channel, load, attachment, show, prove)
    try:
        channel.sendall(opening(load, {**request, "prove": prove is not None}, attachment, sudo_password))
        return _conclude(connection.server, channel, talk.events(), talk.refused)
    except broken() as error:
        raise never_began(connection.server, channel) or cut(connection.server, error) from None
    finally:
        with suppress(*broken()):
            channel.close()


def command_line(sudo: bool) -> str:
    """What the login shell is told to run."""
    words = ["python3", "-I", "-S", "-c", LOADER]
    return shlex.join(["sudo", "-k", "-S", "-p", "", "--", *words] if sudo else words)


def opening(load: Bundle, request: Event, attachment: bytes, sudo_password: Secret | None) -> bytes:
    """What is written to it first of all."""
    bootstrap = (TARGET / "bootstrap.py").read_bytes()
    body = json.dumps(on_the_wire(request)).encode()
    header = {"bundle": load.hash, "request": len(body), "attachment": len(attachment)}
    password = b"" if sudo_password is None else sudo_password.encode() + b"\n"
    mark = f"{MARK}\n{len(bootstrap)}\n".encode()
    return password + mark + bootstrap + json.dumps(header).encode() + b"\n" + body


def lines(channel: paramiko.Channel) -> Iterator[bytes]:
    """The server's lines as they come. Paramiko's own file object reads in blocks and would hold them back."""
    rest = b""
    while data := channel.recv(1 << 16):
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


@dataclass
class _Talk:
    """What is said while a run goes on. refused: why the new way in does not work, where it does not."""

    server: Server
    channel: paramiko.Channel
    load: Bundle
    attachment: bytes
    show: Callable[[Server, Event], None]
    prove: Callable[[], None] | None
    refused: list[DeployMachineError] = field(default_factory=list)

    def events(self) -> list[Event]:
        """Answer and show every event; those that tell how the run ended."""
        telling: list[Event] = []
        for line in lines(self.channel):
            event = parsed(self.server, line)
            if event["event"] in {"ready", "bundle-wanted"}:
                self._send(wanted=event["event"] == "bundle-wanted")
                continue
            self.show(self.server, event)
            if event["event"] == "way-in-changed":
                self._prove()
            if event["event"] in {"failure", "run-done"} or event.get("state") == "failed":
                telling.append(event)
        return telling

    def _send(self, *, wanted: bool) -> None:
        bundle = f"{len(self.load.data)}\n".encode() + self.load.data if wanted else b""
        self.channel.sendall(bundle + self.attachment)
        if self.prove is None:  # else its end tells the server that we are gone
            self.channel.shutdown_write()

    def _prove(self) -> None:
        try:
            if self.prove is not None:
                self.prove()
        except DeployMachineError as error:
            self.refused.append(error)
            self.channel.sendall(UNDO)


def parsed(server: Server, line: bytes) -> Event:
    """The event of a line. Raises ConvergeError where it is none."""
    try:
        event = json.loads(line)
        if isinstance(event, dict) and "event" in event:
            return event
    except ValueError:
        pass
    raise ConvergeError(
        f"{server.name} answered something that is not an event",
        where=server.where,
        why=line[:200].decode(errors="replace"),
        hint="a login script of the server may print to everybody who logs in: it must not where there is no terminal",
    )


def _conclude(
    server: Server, channel: paramiko.Channel, telling: list[Event], refused: list[DeployMachineError]
) -> Result:
    done = next((event for event in telling if event["event"] == "run-done"), None)
    failure = next((event for event in telling if event["event"] == "failure"), None)
    failed = next((event for event in telling if event["event"] in {"resource-done", "step-done"}), None)
    code = channel.recv_exit_status()
    if refused:
        raise refused[0]
    if done is None and failure is None:
        raise never_began(server, channel, code) or cut(server)
    error = _error(server, failure, failed) if code == 1 or done is None else None
    state = "failed" if error else str(done["state"] if done else "failed")
    totals, result = (done.get("totals", {}), done.get("result", {})) if done else ({}, {})
    return Result(state, totals, result, error)


def _error(server: Server, failure: Event | None, failed: Event | None) -> ConvergeError:
    if failure is not None:
        source = failure.get("source_line") or ""
        return ConvergeError(
            f"{server.name}: {failure['what']}",
            where=", ".join(part for part in (server.where, failure.get("where")) if part),
            why=failure.get("why"),
            hint=failure.get("hint"),
            evidence=[*([source.strip()] if source else []), *failure.get("output", [])],
        )
    if failed is None:
        return ConvergeError(f"The run on {server.name} failed and did not say why", where=server.where)
    return _resource_error(server, failed)


def _resource_error(server: Server, failed: Event) -> ConvergeError:
    error = failed.get("error") or {}
    what = f"{failed['type']}[{failed['name']}]" if "type" in failed else f"the step {failed['step']}"
    command, code = error.get("command"), error.get("exit_code")
    output = error.get("output") or []
    return ConvergeError(
        f"{server.name}: {what} failed",
        where=", ".join(part for part in (server.where, failed.get("source")) if part),
        why=error.get("message") or (f"exit code {code}" if code is not None else None),
        hint=error.get("hint"),
        evidence=[*([f"$ {command}"] if command else []), *output],
    )


def never_began(server: Server, channel: paramiko.Channel, code: int | None = None) -> ConvergeError | None:
    """The error for a command that ended before our program on the server said a word; None: it was cut."""
    code = channel.recv_exit_status() if code is None and channel.exit_status_ready() else code
    said = _stderr(channel)
    if code in (None, -1):
        return None
    if code == NO_PYTHON:
        return NoPythonError(
            f"There is no python3 on {server.name}", where=server.where, hint="`fab root provision` installs it"
        )
    if any("try again" in line or "incorrect password" in line for line in said):
        return ConvergeError(
            f"sudo on {server.name} does not take the deploy user's password",
            where=server.where,
            why="the password in .deploymachine/secrets.json is not the server's",
            hint="bring the secrets file that the server was provisioned with",
        )
    return ConvergeError(
        f"The run on {server.name} ended early", where=server.where, why=f"exit code {code}", evidence=said
    )


class NoPythonError(ConvergeError):
    """The server is so bare that it has no python3."""


def _stderr(channel: paramiko.Channel) -> list[str]:
    said = b""
    while channel.recv_stderr_ready():
        said += channel.recv_stderr(1 << 16)
    return said.decode(errors="replace").splitlines()[-STDERR_LINES:]
