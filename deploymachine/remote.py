"""An argv list in, run on a server as another user, what it says out as it comes; sudo alone gets the password."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deploymachine.errors import ConvergeError
from deploymachine.inventory import Server
from deploymachine.secrets import Secret
from deploymachine.ssh import Connection, broken, cut

if TYPE_CHECKING:
    import paramiko

ASKS = b"[deploymachine: sudo asks]"
BEGINS = b"[deploymachine: it begins]"
CHUNK = 1 << 16
Take = Callable[[bytes], object]


@dataclass(frozen=True)
class Order:
    """argv: never seen by a shell. user: "" is who logs in. given: what it reads on its stdin. called: by errors."""

    argv: Sequence[str]
    user: str = ""
    given: Iterable[bytes] = ()
    called: str = ""

    def line(self, login: str) -> str:
        """What the login shell of the user `login` is told. It says BEGINS when the command itself takes over."""
        words = ["sh", "-c", f"printf %s '{BEGINS.decode()}' >&2; exec \"$@\"", "sh", *self.argv]
        if self.user in ("", login):
            return shlex.join(words)
        if login == "root":
            return shlex.join(["runuser", "-u", self.user, "--", *words])
        return shlex.join(["sudo", "-k", "-S", "-p", ASKS.decode(), "-u", self.user, "--", *words])


def run_as(connection: Connection, order: Order, password: Secret | None, out: Take, err: Take) -> int:
    """Run it to its end and hand on what it says, as it comes; its exit code.

    `err` is called from a thread of its own. Raises ConvergeError where sudo refuses, ConnectError where it was cut.
    """
    channel = connection.open(order.line(connection.login.user))
    gate = Gate(connection.server, channel, password)
    try:
        with ThreadPoolExecutor(max_workers=2) as pool:
            said = pool.submit(_copy, channel.recv_stderr, lambda data: err(gate.passed(data)), gate.begun.set)
            fed = pool.submit(_feed, channel, order.given, gate)
            try:
                _copy(channel.recv, out, lambda: None)
            except BaseException:
                channel.close()  # else the two would wait for its end
                raise
        said.result()
        fed.result()
        return gate.exit_code()
    except broken() as error:
        raise cut(connection.server, error) from None
    finally:
        with suppress(*broken()):
            channel.close()


def _copy(read: Callable[[int], bytes], take: Take, ended: Callable[[], None]) -> None:
    try:
        while data := read(CHUNK):
            take(data)
    finally:
        ended()


def _feed(channel: paramiko.Channel, given: Iterable[bytes], gate: Gate) -> None:
    """Only now: what sudo does not read must not be taken for its answer, nor the password for what is given."""
    gate.begun.wait()
    with suppress(*broken()):  # it may have heard enough, and ended
        for data in given:
            channel.sendall(data)
        channel.shutdown_write()


@dataclass
class Gate:
    """What is said until the command itself begins: sudo's question, which is answered once; nothing of it is shown."""

    server: Server
    channel: paramiko.Channel
    password: Secret | None
    begun: threading.Event = field(default_factory=threading.Event)
    said: bytes = b""
    answers: int = 0
    open: bool = False

    def passed(self, data: bytes) -> bytes:
        """What of `data` the command itself said."""
        if self.open:
            return data
        self.said += data
        before, mark, after = self.said.partition(BEGINS)
        if mark:
            self.open, self.said = True, before
            self.begun.set()
            return after
        if self.said.count(ASKS) > self.answers:
            self._answer()
        return b""

    def _answer(self) -> None:
        self.answers += 1
        if self.answers > 1 or self.password is None:
            self.channel.shutdown_write()  # sudo gives up
        else:
            self.channel.sendall(self.password.encode() + b"\n")

    def exit_code(self) -> int:
        """The command's. Raises ConvergeError where it never began, ConnectError where nobody knows how it ended."""
        code = int(self.channel.recv_exit_status())
        if code == -1:
            raise cut(self.server)
        if self.open:
            return code
        lines = [line for line in self.said.replace(ASKS, b"").decode(errors="replace").splitlines() if line.strip()]
        if self.answers > 1:
            raise ConvergeError(
                f"sudo on {self.server.name} does not take the deploy user's password",
                where=self.server.where,
                why="the password in .deploymachine/secrets.json is not the server's",
                hint="bring the secrets file that the server was provisioned with",
            )
        why = lines[-1].strip() if lines else f"exit code {code}"
        raise ConvergeError(f"The command did not begin on {self.server.name}", where=self.server.where, why=why)
