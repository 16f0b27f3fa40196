"""A question about what servers logged in, the lines that answer it out, sorted by time: from a lognode, or from each.

Without a lognode every server that was asked for looks into its own journal and log files; with one, it answers for all
of them, those that are gone included. The lines stream: neither side ever holds more than a few batches of them.
"""

from __future__ import annotations

import heapq
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from deploymachine.converge import Event, run
from deploymachine.cook import checked, sudo_password
from deploymachine.errors import ConnectError, DeployMachineError, SeveralErrors, UsageError
from deploymachine.inventory import Server
from deploymachine.moments import written
from deploymachine.servertypes import Deployment
from deploymachine.site_names import known
from deploymachine.ssh import Connection, close_all, connect, internal, login

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
BATCHES = 32  # that may wait for a slower server's
TOGETHER = 0.2  # seconds; lines that come from several servers so close are sorted
CONTROLS = {number: f"\\x{number:02x}" for number in (*range(9), *range(10, 32), *range(127, 160))}
Line = tuple[str, str, str, str]  # when, server, program, text
Write = Callable[[str], object]


@dataclass(frozen=True)
class Question:
    """Which lines: since when, of which servers (names; empty: all), of which site, holding which text.

    follow: go on with what is logged from now on. direct: ask each server, also where there is a lognode.
    """

    since: datetime
    servers: tuple[str, ...] = ()
    site: str | None = None
    grep: str = ""
    follow: bool = False
    direct: bool = False

    def request(self, host: str, deployment: Deployment, *, central: bool) -> Event:
        """The JSON that asks the server `host`."""
        present = {server.name for server in deployment.inventory}
        return {
            "command": "logs",
            "host": host,
            "central": central,
            "since": self.since.timestamp(),
            "servers": list(self.servers) if self.servers else None,
            "site": self.site,
            "sites": list(deployment.settings.SITES),
            "gone": sorted({*self.servers} - present),
            "grep": self.grep or None,
            "follow": self.follow,
        }


def moment(text: str, now: datetime) -> datetime:
    """ "10m", "2h", "2026-01-31 12:00" (UTC, as lines are shown) as a time. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,6}) ?([smhdw])", text.strip())
    if found and (length := timedelta(**{UNITS[found[2]]: int(found[1])})) < timedelta(days=36_500):
        return now - length
    when = written("--since", text, now, day_alone=True)
    if when is not None:
        return when
    raise UsageError(
        f"--since {text}: that is no time",
        why="it is a number and s, m, h, d or w, or a date with or without a time of day (UTC)",
        hint="for example --since 10m, --since 2h or --since '2026-01-31 12:00'",
    )


def known_site(name: str, deployment: Deployment) -> str:
    """The name itself where settings.py has such a site. Raises UsageError."""
    return known(name, deployment.settings.SITES)


def show(question: Question, deployment: Deployment, write: Write) -> None:
    """Write every line that answers, `TIME SERVER/PROGRAM: TEXT`, as soon as its turn has come.

    Raises what went wrong with any server, after the lines of all others. However it ends, nothing goes on on servers.
    """
    stop = threading.Event()
    sources = _sources(question, deployment, stop)
    with ThreadPoolExecutor(max_workers=max(1, len(sources))) as pool:
        futures = [pool.submit(source.read) for source in sources]
        try:
            _write_all(sources, question, write)
        except BaseException:
            stop.set()
            close_all()
            raise
    _raise_errors(futures)


def _write_all(sources: Sequence[_Source], question: Question, write: Write) -> None:
    for line in heapq.merge(*(source.history() for source in sources), key=lambda line: line[0]):
        write(_shown(line))
    if question.follow:
        for lines in _live(sources):
            for line in sorted(lines, key=lambda line: line[0]):
                write(_shown(line))


def _live(sources: Sequence[_Source]) -> Iterator[list[Line]]:
    """What came within a moment, until every server has ended."""
    while not all(source.ended for source in sources):
        time.sleep(TOGETHER)
        yield [line for source in sources for line in source.arrived()]
    yield [line for source in sources for line in source.arrived()]


def _shown(line: Line) -> str:
    """As one line that can't play tricks on a terminal."""
    when, server, program, text = line
    return f"{when.replace('+00:00', 'Z')} {server}/{program}: {text}".translate(CONTROLS) + "\n"


def _raise_errors(futures: Sequence[Future[None]]) -> None:
    errors = [error for future in futures if (error := future.exception()) is not None]
    told = [one if isinstance(one, DeployMachineError) else internal(_plain(one)) for one in errors]
    if told:
        raise told[0] if len(told) == 1 else SeveralErrors(told)


def _plain(error: BaseException) -> Exception:
    if isinstance(error, Exception):
        return error
    raise error


@dataclass
class _Source:
    """One server that answers, and the batches of lines that it sent and nobody took yet; None ends its history."""

    nodes: tuple[Server, ...]  # the first of which that can be reached is asked
    question: Question
    deployment: Deployment
    central: bool
    stop: threading.Event
    batches: queue.Queue[list[Line] | None] = field(default_factory=lambda: queue.Queue(BATCHES))
    ended: bool = False

    def read(self) -> None:
        """Ask, and put what is answered into the queue. Raises what goes wrong; the history is ended in any case."""
        try:
            with self._connected() as connection:
                node = connection.server
                request = self.question.request(node.name, self.deployment, central=self.central)
                checked(run(connection, request, self._take, sudo_password=sudo_password(node, self.deployment)))
        except DeployMachineError as error:
            if self.question.follow and not self.stop.is_set():  # the others may go on for days
                print(f"warning: {error.what}", file=sys.stderr)
            raise
        finally:
            self._put(None)
            self.ended = True

    def history(self) -> Iterator[Line]:
        while (batch := self.batches.get()) is not None:
            yield from batch

    def arrived(self) -> Iterator[Line]:
        while not self.batches.empty():
            yield from self.batches.get() or ()

    def _connected(self) -> Connection:
        settings = self.deployment.settings
        for node in self.nodes[:-1]:
            try:
                return connect(node, login(node, settings), settings)
            except ConnectError as error:
                print(f"warning: {error.what}; asking the next lognode", file=sys.stderr)
        try:
            return connect(self.nodes[-1], login(self.nodes[-1], settings), settings)
        except ConnectError as error:
            if self.central:
                error.hint = "`fab logs --direct` asks every server itself for what it still has"
            raise

    def _take(self, _server: Server, event: Event) -> None:
        if event["event"] == "log":
            lines: list[Any] = event["lines"]
            self._put([(when, server, program, text) for when, server, program, text in lines])
        elif event["event"] == "log-caught-up":
            self._put(None)

    def _put(self, batch: list[Line] | None) -> None:
        """Wait for room: a server that is far ahead of the others has to wait for them."""
        while not self.stop.is_set():
            try:
                self.batches.put(batch, timeout=0.2)
                break
            except queue.Full:
                continue


def _sources(question: Question, deployment: Deployment, stop: threading.Event) -> list[_Source]:
    inventory = deployment.inventory
    lognodes = inventory.serving("lognode")
    if lognodes and not question.direct:
        return [_Source(lognodes, question, deployment, True, stop)]
    named = [inventory.named(name) for name in dict.fromkeys(question.servers)]
    return [_Source((server,), question, deployment, False, stop) for server in named or inventory]
