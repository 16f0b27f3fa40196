"""An order and servers in, carried out on all at once; what each says out, shown with the server in front of it."""

from __future__ import annotations

import os
import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from deploymachine.errors import ConvergeError, DeployMachineError, UsageError
from deploymachine.inventory import Server

if TYPE_CHECKING:
    from deploymachine.remote import Order, Take
    from deploymachine.servertypes import Deployment

WORDS = 80  # characters of a command that an error repeats
LAST_LINES = 25
Orders = Callable[[Server], "Order"]
_printing = threading.Lock()


def on_servers(
    servers: Sequence[Server],
    order: Order | Orders,
    here: Deployment,
    *,
    quiet: bool = False,
    fine: Sequence[int] = (0,),
) -> dict[str, str]:
    """Carry it out on every one of `servers`; server name -> what it wrote to stdout.

    order: the same for all, or a function that tells a server's. quiet: show nothing of it. fine: exit codes that are
    no failure. Raises ConvergeError for each server where it failed, after all were tried.
    """
    from deploymachine.ssh import on_each, values

    def one(server: Server) -> tuple[str, str]:
        out = Lines(server.name, None if quiet else sys.stdout)
        err = Lines(server.name, None if quiet else sys.stderr)
        mine = order(server) if callable(order) else order
        code = _carry_out(server, mine, here, out.take, err.take)
        out.end()
        err.end()
        if code not in fine:
            raise failed(server, mine, code, [*out.last(), *err.last()] if quiet else ())
        return server.name, out.text()

    return dict(values(on_each(servers, one)))


def into_file(server: Server, order: Order, here: Deployment, path: Path) -> int:
    """Carry it out and keep what it writes to stdout, whole or not at all, readable by its owner only; its size.

    Raises ConvergeError, UsageError where the file can't be written.
    """
    new = path.with_name(f".{path.name}.part")
    err = Lines(server.name, sys.stderr)
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            code = _carry_out(server, order, here, file.write, err.take)
        err.end()
        if code:
            raise failed(server, order, code)
        return new.replace(path).stat().st_size
    except OSError as error:
        raise UsageError(f"{path} can't be written", why=error.strerror or str(error)) from None
    finally:
        new.unlink(missing_ok=True)


def at_terminal(server: Server, order: Order, here: Deployment) -> None:
    """Carry it out with the user's terminal as its own. Raises ConvergeError where it ended badly."""
    from deploymachine.cook import sudo_password
    from deploymachine.ssh import connect, login
    from deploymachine.terminal import check, talk

    check()
    with connect(server, login(server, here.settings), here.settings) as connection:
        print(f"{server.name}: {order.called or shlex.join(order.argv)}", file=sys.stderr)
        if code := talk(connection, order, sudo_password(server, here)):
            raise failed(server, order, code)


def failed(server: Server, order: Order, code: int, said: Sequence[str] = ()) -> DeployMachineError:
    """The error for an order that ended with that exit code."""
    words = " ".join((order.called or shlex.join(order.argv)).split())
    shown = words if len(words) <= WORDS else words[:WORDS] + "..."
    return ConvergeError(
        f"`{shown}` failed on {server.name}", where=server.where, why=f"exit code {code}", evidence=said
    )


def _carry_out(server: Server, order: Order, here: Deployment, out: Take, err: Take) -> int:
    from deploymachine.cook import sudo_password
    from deploymachine.remote import run_as
    from deploymachine.ssh import connect, login

    with connect(server, login(server, here.settings), here.settings) as connection:
        return run_as(connection, order, sudo_password(server, here), out, err)


@dataclass
class Lines:
    """Bytes as they come in, whole lines with a name in front out; all of it kept. stream: None shows nothing."""

    name: str
    stream: TextIO | None
    parts: list[bytes] = field(default_factory=list)
    rest: bytes = b""

    def take(self, data: bytes) -> None:
        self.parts.append(data)
        *whole, self.rest = (self.rest + data).split(b"\n")
        self._show(whole)

    def end(self) -> None:
        """Show a last line that nobody ended."""
        self._show([self.rest] if self.rest else [])
        self.rest = b""

    def text(self) -> str:
        return b"".join(self.parts).decode(errors="replace")

    def last(self) -> list[str]:
        return self.text().splitlines()[-LAST_LINES:]

    def _show(self, lines: Sequence[bytes]) -> None:
        if self.stream is None:
            return
        with _printing, quietly(self.stream):
            for line in lines:
                print(f"{self.name}: {plain(line)}", file=self.stream, flush=True)


@contextmanager
def quietly(stream: TextIO) -> Iterator[None]:
    """A reader who has seen enough, as in `fab ... | head`, is no error."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def plain(line: bytes) -> str:
    """A line of a program as one that can't play tricks on a terminal; of one that is drawn anew, its last state."""
    from deploymachine.logs import CONTROLS

    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace").translate(CONTROLS)
