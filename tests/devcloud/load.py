"""Visitors of a site, several at once; out come how many pages they got, which appnode made them, and what failed."""

from __future__ import annotations

import http.client
import re
import signal
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SERVER = re.compile(r'id="server">([^<]+)<')
PAUSE = 0.1  # seconds between two requests of one visitor: faster ones take the processors from what is tried
PACE = Path(__file__).with_name("pace.lua")


@dataclass
class Load:
    """failures: what went wrong, a line each. by: how many pages each appnode made. reopened: see `_Visitor`."""

    address: str
    certificate: Path
    failures: list[str] = field(default_factory=list)
    by: Counter[str] = field(default_factory=Counter)
    reopened: int = 0
    pause: float = PAUSE
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def served(self) -> int:
        return sum(self.by.values())

    def goes_on(self, requests: int) -> None:
        """Return when that many more were served; whoever asks sees the site after what just happened."""
        goal, deadline = self.served + requests, time.monotonic() + 60
        while self.served < goal and time.monotonic() < deadline:
            self.over.wait(0.02)
        assert self.served >= goal, self.failures[-5:]


@contextmanager
def load(address: str, certificate: Path, visitors: int = 6, pause: float = PAUSE) -> Iterator[Load]:
    """Half of the visitors keep their connections, as browsers do, half come anew for every page."""
    found = Load(address, certificate, pause=pause)
    threads = [threading.Thread(target=_Visitor(found, keeps=n % 2 == 0).stay) for n in range(visitors)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.over.set()
        for thread in threads:
            thread.join()


class _Visitor:
    """Asks for the front page again and again.

    A server may close a kept connection between two requests; who asks just then is answered nothing at all and, as
    every browser does (RFC 9112, 9.3.1), asks once more on a new connection. That is counted, and is no failure; on a
    new connection, or after the first byte of an answer, everything but 200 is one.
    """

    def __init__(self, load: Load, keeps: bool) -> None:
        self.load, self.keeps = load, keeps
        self.trust = ssl.create_default_context(cafile=str(load.certificate))
        self.connection: http.client.HTTPSConnection | None = None

    def stay(self) -> None:
        while not self.load.over.wait(self.load.pause):
            try:
                self._visit()
            except (OSError, http.client.HTTPException) as error:
                self.load.failures.append(f"{time.strftime('%X')} {type(error).__name__}: {error}")
                self._leave()
        self._leave()

    def _visit(self) -> None:
        reused = self.connection is not None
        try:
            answer = self._ask()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            if not reused:
                raise
            self._leave()
            self.load.reopened += 1
            answer = self._ask()
        page = answer.read().decode()
        if answer.status != 200:
            self.load.failures.append(f"{time.strftime('%X')} {answer.status}: {page[:200]}")
        elif (made_by := SERVER.search(page)) is not None:
            self.load.by[made_by[1]] += 1
        if not self.keeps or answer.will_close:
            self._leave()

    def _ask(self) -> http.client.HTTPResponse:
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(self.load.address, timeout=20, context=self.trust)
        self.connection.request("GET", "/")
        return self.connection.getresponse()

    def _leave(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


TOOLS = {
    "hey": ["hey", "-z", "30m", "-c", "4", "-q", "5", "{url}"],
    # New connections: wrk counts it as an error when a server closes a kept one between two requests, as it may.
    # Its own two seconds would call an answer lost that is only late: the machines share one computer.
    "wrk": ["wrk", "-d30m", "-c4", "-t1", "-s", str(PACE), "--timeout", "20s", "-H", "Connection: close", "{url}"],
}


@contextmanager
def tool(name: str, address: str) -> Iterator[dict[str, int]]:
    """Load from a tool that is installed; when it is over, how many requests were "served" and how many "failed"."""
    found: dict[str, int] = {}
    argv = [word.format(url=f"https://{address}/") for word in TOOLS[name]]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield found
        finally:
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[0]
    found.update(hey_said(said) if name == "hey" else wrk_said(said))
    assert found["served"], said


def hey_said(said: str) -> dict[str, int]:
    status = {code: int(count) for code, count in re.findall(r"\[(\d{3})\]\s+(\d+) responses", said)}
    errors = said.partition("Error distribution:")[2]
    failed = sum(int(count) for count in re.findall(r"^\s+\[(\d+)\]", errors, re.MULTILINE))
    return {"served": status.pop("200", 0), "failed": failed + sum(status.values())}


def wrk_said(said: str) -> dict[str, int]:
    asked = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    failed = re.findall(r"(?:connect|read|write|timeout|Non-2xx or 3xx responses:) (\d+)", said)
    return {"served": asked, "failed": sum(map(int, failed))}
