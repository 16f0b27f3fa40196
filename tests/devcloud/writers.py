"""Writers who sign the guestbook, many a second; out come what they were told, how long they waited, what is lost."""

from __future__ import annotations

import http.client
import itertools
import re
import ssl
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

RATE = 60.0  # signatures a second, all writers together
WRITERS = 12
PATIENCE = 60.0  # seconds for one answer
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)
ROWS = "SELECT message, count(*) FROM entries_entry WHERE message LIKE '{run} %' GROUP BY message"
ROW = r"\b({run} \d+ \d+) *\| *(\d+)"


@dataclass
class Writing:
    """run: what all texts of these writers begin with. acknowledged: text -> when its answer came, and after how many
    seconds; failures: a line for every other answer, unsure: the texts of those: they may be in the book or not."""

    address: str
    certificate: Path
    rate: float = RATE
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    acknowledged: dict[str, tuple[float, float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    unsure: set[str] = field(default_factory=set)
    reopened: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def query(self) -> str:
        """SQL whose answer `book` takes."""
        return ROWS.format(run=self.run)

    def book(self, told: str) -> dict[str, int]:
        """What psql printed, in whatever format: text -> how often it is in the book."""
        return {text: int(count) for text, count in re.findall(ROW.format(run=self.run), told)}

    def goes_on(self, signatures: int, seconds: float = PATIENCE) -> None:
        """Return when that many more were acknowledged: whoever wrote them sees the site after what just happened."""
        goal, deadline = len(self.acknowledged) + signatures, time.monotonic() + seconds
        while len(self.acknowledged) < goal and time.monotonic() < deadline:
            self.over.wait(0.02)
        assert len(self.acknowledged) >= goal, self.failures[-5:]

    def nobody_knows(self) -> None:
        """Whether what was acknowledged until now is in the book, or not."""
        self.unsure |= {*self.acknowledged}
        self.acknowledged.clear()

    def between(self, begin: float = 0.0, end: float = float("inf")) -> Seen:
        """What was seen from the last answer before `begin` to the first after `end`, moments of time.monotonic()."""
        answers = sorted([*self.acknowledged.values()])
        first = max((n for n, (at, _) in enumerate(answers) if at < begin), default=0)
        last = next((n for n, (at, _) in enumerate(answers) if at > end), len(answers) - 1)
        within = answers[first : last + 1]
        return Seen(tuple(at for at, _ in within), max((took for _, took in within), default=0.0))

    def lost(self, rows: Mapping[str, int]) -> list[str]:
        """What was acknowledged and is not in the book."""
        return sorted(set(self.acknowledged) - set(rows))

    def twice(self, rows: Mapping[str, int]) -> list[str]:
        """What is in the book more often than it was signed, or though nobody signed it."""
        known = self.unsure | set(self.acknowledged)
        return sorted(text for text, count in rows.items() if count > 1 or text not in known)


@dataclass(frozen=True)
class Seen:
    """answers: when they came, in order. slowest: seconds that the slowest took."""

    answers: tuple[float, ...]
    slowest: float

    @property
    def per_second(self) -> float:
        return len(self.answers) / max(self.answers[-1] - self.answers[0], 0.001) if self.answers else 0.0

    @property
    def pause(self) -> float:
        """The longest time, in seconds, in which nobody got an answer."""
        return max((after - before for before, after in itertools.pairwise(self.answers)), default=0.0)

    def __str__(self) -> str:
        many, each = len(self.answers), f"{self.per_second:.0f} a second"
        return f"{many} signatures, {each}; longest pause {self.pause:.2f} s, slowest answer {self.slowest:.2f} s"


@contextmanager
def writers(address: str, certificate: Path, rate: float = RATE, count: int = WRITERS) -> Iterator[Writing]:
    """Half of the writers keep their connections, as browsers do, half come anew for every signature."""
    writing = Writing(address, certificate, rate)
    threads = [threading.Thread(target=_Writer(writing, n, n % 2 == 0, count / rate).stay) for n in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield writing
    finally:
        writing.over.set()
        for thread in threads:
            thread.join()


class _Writer:
    """Signs again and again, every `pause` seconds, each time with a text of its own; waits for one answer at a time.

    Who asks on a kept connection just when the server closes it is answered nothing at all; as browsers do, a writer
    then sends the same once more on a new connection, and that is no failure. Were it signed twice, `twice` says so.
    """

    def __init__(self, writing: Writing, number: int, keeps: bool, pause: float) -> None:
        self.writing, self.number, self.keeps, self.pause = writing, number, keeps, pause
        self.trust = ssl.create_default_context(cafile=str(writing.certificate))
        self.connection: http.client.HTTPSConnection | None = None
        self.cookie = self.token = ""

    def stay(self) -> None:
        due = time.monotonic() + self.pause * self.number / WRITERS
        for number in itertools.count():
            if self.writing.over.wait(max(due - time.monotonic(), 0)):
                break
            self._sign(f"{self.writing.run} {self.number} {number}")
            due = max(due + self.pause, time.monotonic())  # what a pause cost is not made up for
        self._leave()

    def _sign(self, text: str) -> None:
        began = time.monotonic()
        try:
            status = self._post(text)
            if status == 302:
                now = time.monotonic()
                self.writing.acknowledged[text] = now, now - began
                return
            told = f"answered {status}"
        except (OSError, http.client.HTTPException) as error:
            told = f"{type(error).__name__}: {error}"
            self._leave()
        self.writing.unsure.add(text)
        self.writing.failures.append(f"{time.strftime('%X')} {text}: {told} after {time.monotonic() - began:.2f} s")

    def _post(self, text: str) -> int:
        if not self.token:
            self._fetch_form()
        form = urlencode({"csrfmiddlewaretoken": self.token, "name": "writer", "message": text})
        headers = {"Cookie": self.cookie, "Referer": f"https://{self.writing.address}/"}
        answer = self._ask("POST", form, {**headers, "Content-Type": "application/x-www-form-urlencoded"})
        return answer.status

    def _fetch_form(self) -> None:
        answer = self._ask("GET")
        token, cookie = TOKEN.search(answer.page), answer.headers["Set-Cookie"]  # type: ignore[attr-defined]
        if token is None or cookie is None:
            raise http.client.HTTPException(f"no form, answered {answer.status}")
        self.token, self.cookie = token[1], cookie.split(";")[0]

    def _ask(self, method: str, body: str = "", headers: Mapping[str, str] | None = None) -> http.client.HTTPResponse:
        reused = self.connection is not None
        try:
            return self._ask_once(method, body, headers or {})
        except CLOSED:
            if not reused:
                raise
            self._leave()
            self.writing.reopened += 1
            return self._ask_once(method, body, headers or {})

    def _ask_once(self, method: str, body: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(self.writing.address, timeout=PATIENCE, context=self.trust)
        self.connection.request(method, "/", body.encode() or None, dict(headers))
        answer = self.connection.getresponse()
        answer.page = answer.read().decode()  # type: ignore[attr-defined]
        if not self.keeps or answer.will_close:
            self._leave()
        return answer

    def _leave(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None
