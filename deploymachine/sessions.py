"""Servers and a request for each in, conversations with all of them at once out: an order, an answer, the next order.

Who does not hear from us for a while takes us for gone and puts things back, so a word goes to everybody all the time.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from deploymachine.bundle import Bundle, bundle
from deploymachine.converge import Event, command_line, lines, never_began, opening, parsed
from deploymachine.cook import sudo_password
from deploymachine.errors import ConvergeError
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment
from deploymachine.ssh import broken, connect, cut, login, on_each, values

if TYPE_CHECKING:
    import paramiko

STAY = 2.0  # seconds between two words
BEGIN = 120.0  # seconds that a server may take until it listens; a cook that is under way is waited for
END = 20.0  # seconds that are waited for it to let go of what it holds; it goes on with that alone
STAYING = b'{"do": "stay"}\n'


class Session:
    """One server that carries out one order after the other. Not for several threads at once, `stay` aside."""

    def __init__(self, server: Server, channel: paramiko.Channel) -> None:
        self.server, self._channel = server, channel
        self._lines = lines(channel)
        self._number = 0
        self._sending = threading.Lock()

    def ask(self, part: str, do: str, seconds: float = 30.0, **more: Any) -> Event:
        """Have a part of the server do something; what it answers.

        Raises ConvergeError where it was refused there. Raises ConnectError where no answer came within `seconds`:
        whether it was done, nobody knows then.
        """
        self._number += 1
        line = {"part": part, "do": do, "number": self._number, **more}
        try:
            self._say(json.dumps(line).encode() + b"\n")
            answer = self._answer(self._number, seconds)
        except broken() as error:
            raise cut(self.server, error) from None
        if "error" in answer:
            raise self._refused(answer["error"])
        return dict(answer["result"])

    def stay(self) -> None:
        """Tell it that we are here still."""
        with suppress(*broken()):
            self._say(STAYING)

    def end(self) -> None:
        """Tell it that this is all; what it holds still it lets go."""
        with suppress(*broken()):
            self._say(b'{"do": "end"}\n')
            self._channel.settimeout(END)
            for _ in self._lines:
                pass

    def begin(self, first: bytes, load: Bundle) -> None:
        """Say what it is about, and wait until it listens. Raises ConvergeError, ConnectError."""
        try:
            self._channel.sendall(first)
            self._channel.settimeout(BEGIN)
            for line in self._lines:
                event = parsed(self.server, line)
                if event["event"] == "bundle-wanted":
                    self._channel.sendall(f"{len(load.data)}\n".encode() + load.data)
                if event["event"] == "failure":
                    raise ConvergeError(
                        f"{self.server.name}: {event['what']}", where=self.server.where, why=event.get("why")
                    )
                if event["event"] == "answer":
                    return
            raise never_began(self.server, self._channel, self._channel.recv_exit_status()) or cut(self.server)
        except broken() as error:
            raise cut(self.server, error) from None

    def _say(self, data: bytes) -> None:
        with self._sending:
            self._channel.sendall(data)

    def _answer(self, number: int, seconds: float) -> Event:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._channel.settimeout(left)
            line = next(self._lines, None)
            if line is None:
                raise EOFError
            event = parsed(self.server, line)
            if event["event"] == "answer" and event["to"] == number:
                return event
            if event["event"] == "failure":
                raise ConvergeError(f"{self.server.name}: {event['what']}", why=event.get("why"))
        raise TimeoutError(f"no answer within {seconds:g} s")

    def _refused(self, error: Mapping[str, Any]) -> ConvergeError:
        return ConvergeError(
            f"{self.server.name}: {error['message']}",
            where=self.server.where,
            why=error.get("why") or None,
            hint=error.get("hint") or None,
            evidence=error.get("output") or (),
        )


@contextmanager
def sessions(requests: Mapping[Server, Event], deployment: Deployment) -> Iterator[dict[str, Session]]:
    """Begin a conversation with each of these servers: name -> Session. All of them end with the block.

    Raises what went wrong after all were tried.
    """
    with ExitStack() as opened:
        over = threading.Event()
        found = {
            session.server.name: session
            for session in values(on_each(list(requests), lambda one: _begun(one, requests[one], deployment, opened)))
        }
        thread = threading.Thread(target=_stay, args=(list(found.values()), over), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            over.set()
            thread.join()
            with ThreadPoolExecutor(max(1, len(found))) as pool:
                list(pool.map(Session.end, found.values()))


def _begun(server: Server, request: Event, deployment: Deployment, opened: ExitStack) -> Session:
    load, password = bundle(()), sudo_password(server, deployment)
    connection = opened.enter_context(connect(server, login(server, deployment.settings), deployment.settings))
    session = Session(server, connection.open(command_line(password is not None)))
    session.begin(opening(load, {**request, "talk": True}, b"", password), load)
    return session


def _stay(found: Sequence[Session], over: threading.Event) -> None:
    while not over.wait(STAY):
        for session in found:
            session.stay()
