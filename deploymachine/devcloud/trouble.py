"""Orders for trouble go in; the requests and builds that they meet fail, wait or get lost as ordered."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl, urlencode

from deploymachine.devcloud.ids import new_id
from deploymachine.devcloud.state import Refused

Environ = dict[str, Any]
Start = Callable[..., Any]
KINDS = ("refuse", "lose", "slow", "down", "expire", "build", "pages", "crowd")
MET_BY_REQUESTS = ("refuse", "lose", "slow", "pages")
OURS = "/devcloud/"  # where orders are given, which no order touches
FOR_EVER = -1


@dataclass(frozen=True)
class Order:
    """method, path: of the requests it is for; path as patterns of the shell, with its service: "/compute/*/servers".

    nth: the first of them that it meets, times: how many from there on, -1 for all. name: of the servers whose build
    it is for, a pattern. seconds: how long it takes. status, retry_after (seconds), message: what is answered; for a
    build, its fault ("": it goes well, but slowly). refused: connections, rather than requests. size: of a page.
    count, metadata: of the crowd.
    """

    kind: str
    id: str = field(default_factory=new_id)
    method: str = "*"
    path: str = "*"
    name: str = "*"
    nth: int = 1
    times: int = 1
    seconds: float = 0
    status: int = 503
    retry_after: int | None = None
    message: str = ""
    refused: bool = False
    size: int = 100
    count: int = 1000
    metadata: dict[str, str] = field(default_factory=dict)
    met: int = 0

    @property
    def spent(self) -> bool:
        return self.times != FOR_EVER and self.met >= self.nth - 1 + self.times


class Trouble:
    """What is ordered and not spent. It is in memory: a new daemon has none."""

    def __init__(self) -> None:
        self.epoch = 0  # tokens of an older one are expired
        self.hang_up: Callable[[], None] | None = None  # closes the listener until the API is no longer down
        self._orders: list[Order] = []
        self._waiting: set[threading.Timer] = set()
        self._lock = threading.Lock()
        self._down_until = 0.0
        self._down_refused = False

    def order(self, wish: Mapping[str, Any]) -> Order:
        """Raises Refused if there is no such thing."""
        order = _checked(wish)
        if order.kind == "expire":
            self.epoch += 1
        elif order.kind == "down":
            self._take_down(order)
        else:
            with self._lock:
                self._orders.append(order)
        return order

    def _take_down(self, order: Order) -> None:
        self._down_until, self._down_refused = time.monotonic() + order.seconds, order.refused
        if order.refused and self.hang_up:
            self.hang_up()

    def all(self) -> list[Order]:
        with self._lock:
            return list(self._orders)

    def clear(self, identity: str | None = None) -> None:
        """One, or all of it: an API that is down comes back, slow builds go on."""
        with self._lock:
            self._orders = [order for order in self._orders if identity not in (None, order.id)]
            waiting = list(self._waiting) if identity is None else []
        for timer in waiting:
            timer.cancel()
            timer.function()
        if identity is None:
            self._down_until = 0.0

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Once that time has passed or all trouble is taken back; nothing else waits for it."""

        def once() -> None:
            with self._lock:
                mine = timer in self._waiting
                self._waiting.discard(timer)
            if mine:
                act()

        timer = threading.Timer(seconds, once)
        timer.daemon = True
        with self._lock:
            self._waiting.add(timer)
        if seconds:
            timer.start()
        else:
            once()

    def meet(self, *kinds: str, fits: Callable[[Order], bool]) -> list[Order]:
        """Those that this request or build meets; each is counted."""
        found = []
        with self._lock:
            for at, order in enumerate(self._orders):
                if order.kind in kinds and fits(order):
                    self._orders[at] = order = replace(order, met=order.met + 1)
                    found += [order] if order.met >= order.nth else []
            self._orders = [order for order in self._orders if not order.spent]
        return found

    def build(self, name: str) -> list[Order]:
        """What the build of a server of that name shall go through."""
        return self.meet("build", fits=lambda order: fnmatchcase(name, order.name))

    def crowd(self) -> list[Order]:
        return [order for order in self.all() if order.kind == "crowd"]

    def down(self) -> tuple[float, bool]:
        """For how many seconds more, and whether connections are refused rather than requests."""
        return max(0.0, self._down_until - time.monotonic()), self._down_refused


def _checked(wish: Mapping[str, Any]) -> Order:
    if wish.get("kind") not in KINDS:
        raise Refused(400, f"kind is {wish.get('kind')!r}; there are {', '.join(KINDS)}")
    strange = sorted(wish.keys() - Order.__dataclass_fields__.keys() | (wish.keys() & {"id", "met"}))
    if strange:
        raise Refused(400, f"an order has no {strange[0]!r}")
    always = {"times": FOR_EVER} if wish["kind"] in ("pages", "crowd") else {}
    for name, value in wish.items():
        if not _fits(Order.__dataclass_fields__[name].type, value):
            raise Refused(400, f"{name} can't be {value!r}")
    return Order(**{**always, **wish})


def _fits(kind: Any, value: object) -> bool:
    """kind: a field's type, as text."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fine = {
        "str": isinstance(value, str),
        "bool": isinstance(value, bool),
        "float": number and float(value) >= 0,  # type: ignore[arg-type]
        "int": number and isinstance(value, int),
        "int | None": value is None or (number and isinstance(value, int)),
        "dict[str, str]": isinstance(value, dict),
    }
    return fine[kind]


def show(order: Order) -> dict[str, Any]:
    return asdict(order)


class Troubled:
    """A WSGI application whose requests meet the trouble that is ordered."""

    def __init__(self, app: Callable[[Environ, Start], Iterable[bytes]], trouble: Trouble) -> None:
        self.app = app
        self.trouble = trouble

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path.startswith(OURS):
            return self.app(environ, start)
        seconds, refused = self.trouble.down()
        if seconds:
            return lost(environ, start) if refused else refusal(start, path, Order("down", message=UNAVAILABLE))
        met = self.trouble.meet(
            *MET_BY_REQUESTS, fits=lambda o: fnmatchcase(method, o.method) and fnmatchcase(path, o.path)
        )
        for order in met:
            if order.kind == "slow":
                time.sleep(order.seconds)
            elif order.kind == "pages" and method == "GET":
                environ["QUERY_STRING"] = limited(environ.get("QUERY_STRING", ""), order.size)
            elif order.kind == "refuse":
                return refusal(start, path, order)
        if any(order.kind == "lose" for order in met):
            for _ in self.app(environ, lambda *_: None):  # carried out, and nobody is told
                pass
            return lost(environ, start)
        return self.app(environ, start)


def limited(query: str, size: int) -> str:
    """The query, asking for no more than that many at once."""
    asked = dict(parse_qsl(query, keep_blank_values=True))
    if asked.get("limit", "").isdigit() and 0 < int(asked["limit"]) <= size:
        return query
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "limit"]
    return urlencode([*kept, ("limit", size)])


UNAVAILABLE = "The server is currently unavailable. Please try again at a later time."
WORDS = {
    413: ("Request Entity Too Large", "This request was rate-limited."),
    429: ("Too Many Requests", "This request was rate-limited."),
    500: (
        "Internal Server Error",
        "Unexpected API Error. Please report this at http://bugs.launchpad.net/nova/ and attach the Nova API log if"
        " possible.\n<class 'oslo_db.exception.DBConnectionError'>",
    ),
    502: ("Bad Gateway", "The proxy server received an invalid response from an upstream server."),
    503: ("Service Unavailable", UNAVAILABLE),
    504: ("Gateway Timeout", "The gateway did not receive a timely response from the upstream server."),
}


def refusal(start: Start, path: str, order: Order) -> Iterable[bytes]:
    """As that service says it; what a proxy says for it comes without JSON."""
    title, words = WORDS.get(order.status, ("Error", ""))
    message = order.message or words
    kind = "overLimit" if order.status in (413, 429) else "computeFault"
    bodies: dict[str, Any] = {
        "compute": {kind: {"code": order.status, "message": message}},
        "volume": {kind: {"code": order.status, "message": message}},
        "network": {"NeutronError": {"type": title.replace(" ", ""), "message": message, "detail": ""}},
        "identity": {"error": {"code": order.status, "title": title, "message": message}},
    }
    service = path.split("/")[1]
    if order.status in (502, 503, 504) or service not in bodies:
        body = f"<html><body><h1>{order.status} {title}</h1>\n{message}\n</body></html>\n".encode()
        kind_of_body = "text/html"
    else:
        body, kind_of_body = json.dumps(bodies[service]).encode(), "application/json"
    headers = [("Content-Type", kind_of_body), ("Content-Length", str(len(body)))]
    headers += [("Retry-After", str(order.retry_after))] if order.retry_after is not None else []
    start(f"{order.status} {title}", headers)
    return [body]


def lost(environ: Environ, start: Start) -> Iterable[bytes]:
    """Cut the connection before anything was answered. Both servers that we run under keep a way to the socket."""
    line = environ.get("werkzeug.socket") or environ["waitress.client_disconnected"].__self__.socket
    line.shutdown(socket.SHUT_RDWR)
    start("503 Service Unavailable", [("Content-Length", "0")])
    return itertools.chain()
