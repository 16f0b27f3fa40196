"""Recorded exchanges and a devcloud that answers them go in; what it answers differently comes out."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import requests

Json = dict[str, Any]
TRANSCRIPTS = Path(__file__).parent / "transcripts"
PORTS = {"keystone": 15000, "nova": 18774, "glance": 19292, "neutron": 19696, "placement": 18778}
PATHS = {"keystone": "/identity", "nova": "/compute", "glance": "/image", "neutron": "/network", "placement": "/none"}
REPEATED = re.compile(r"⟨(.{1,4}?)\*(\d+)⟩")
ID = re.compile(
    r"(?<![0-9a-f-])(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}"
    r"|\d+\.\d+\.\d+\.\d+(?![/.\d])|fa:16:3e(?::[0-9a-f]{2}){3})(?![0-9a-f-])"
)
MOMENTS = (  # what is made up anew each time: only its form is compared
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"),
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"),
    re.compile(r"req-[0-9a-f-]*"),
    re.compile(r"[0-9a-f]{56}|[0-9a-f]{128}"),  # of a host, of an image
    re.compile(r"[\w-]{22}"),  # a token's audit id
    re.compile(r"([0-9a-f]{2}:){15}[0-9a-f]{2}"),
    re.compile(r"ssh-(rsa|ed25519) \S+ Generated-by-Nova\n?"),
)
GONE = re.compile(r"/v2\.1/servers/[0-9a-f-]{36}$")
SEVERAL = re.compile(r"[0-9a-f-]{36}(?:,[0-9a-f-]{36})+")
MARKER = re.compile(r"(marker=)([0-9a-f-]{36})")
WORDS = ("demo", "loop", "other", "admin", "osbench")  # users, projects and the region there: one of each here
HIDDEN = "<REDACTED>"
NAMESAKE = 1.0  # likeness of things that share a name


@dataclass(frozen=True)
class Exchange:
    """path: with the query. headers, status, answer: the answer's."""

    scenario: str
    number: int
    call: str
    service: str
    method: str
    path: str
    asked: dict[str, str]
    body: Any
    status: int
    headers: dict[str, str]
    answer: Any

    @property
    def title(self) -> str:
        """Without ids, so that rows of a table can name it."""
        return f"{self.scenario}#{self.number} {self.method} {PATHS[self.service]}{ID.sub('{}', self.path)}"

    @property
    def servers(self) -> list[Json]:
        """Those it shows whole."""
        answer = self.answer if isinstance(self.answer, dict) else {}
        rows = [*answer.get("servers", ()), answer.get("server")]
        return [row for row in rows if row and "OS-EXT-STS:task_state" in row]


def load(file: Path) -> list[Exchange]:
    recorded = json.loads(REPEATED.sub(lambda match: match[1] * int(match[2]), file.read_text()))
    exchanges: list[Exchange] = []
    for number, line in enumerate(recorded["exchanges"]):
        told = line["answer"]
        answer = exchanges[told["same"]].answer if "same" in told else told["body"]
        headers = {name.lower(): value for name, value in recorded["headers"][told["headers"]].items()}
        asked = (line["call"], line["service"], line["method"], line["path"], line["headers"], line.get("body"))
        exchanges.append(Exchange(file.stem, number, *asked, told["status"], headers, answer))
    return exchanges


class Names:
    """What the recording calls things, and what they are called here; ids are learned as answers show them."""

    def __init__(self, url: str) -> None:
        self.words: dict[str, str] = {}  # for whole values, such as the project's name
        self.markers: dict[str, str] = {}  # the last of a page, whichever it is here
        self._urls = {f"http://127.0.0.1:{port}": url + PATHS[service] for service, port in PORTS.items()}
        self._ids: dict[str, str] = {}

    def here(self, text: str) -> str:
        """The same text as it would be here."""
        if text in self.words:
            return self.words[text]
        for recorded, url in self._urls.items():
            text = text.replace(recorded, url)
        text = MARKER.sub(lambda match: match[1] + self.markers.get(match[2], match[2]), text)
        return ID.sub(lambda match: self._ids.get(match[0], match[0]), text)

    def path(self, path: str) -> str:
        path, _, query = self.here(path).partition("?")
        pairs = [(name, self.here(value)) for name, value in parse_qsl(query)]
        return path + (f"?{urlencode(pairs)}" if pairs else "")

    def all(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self.all(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.all(one) for one in value]
        return self.here(value) if isinstance(value, str) else value

    def learn(self, recorded: str, here: str) -> bool:
        """Whether both tell the same of things whose ids may be each other's; if so they are from now on."""
        translated = self.here(recorded)
        if ID.sub("", translated) != ID.sub("", here):
            return False
        pairs = zip(ID.findall(recorded), ID.findall(translated), ID.findall(here), strict=True)
        return all(there == ours or self._ids.setdefault(name, ours) == ours for name, there, ours in pairs)


@dataclass
class Comparison:
    """loose: only names and types, for one page of a list without an order."""

    names: Names
    loose: bool = False
    found: list[str] = field(default_factory=list)

    def value(self, where: str, recorded: Any, here: Any) -> None:
        if type(recorded) is not type(here):
            self._differ(where, recorded, here)
        elif isinstance(recorded, dict):
            self._object(where, recorded, here)
        elif isinstance(recorded, list):
            self._list(where, recorded, here)
        elif (
            not self.loose and recorded != here and not (isinstance(recorded, str) and self._same_text(recorded, here))
        ):
            self._differ(where, recorded, here)

    def _object(self, where: str, recorded: Json, here: Json) -> None:
        recorded = {self.names.here(name): value for name, value in recorded.items()}
        for name in sorted({*recorded, *here}):
            if self.loose and where != "$" and not (name in here and name in recorded):
                continue
            if name not in here:
                self._differ(f"{where}.{name}", recorded[name], "nothing")
            elif name not in recorded:
                self._differ(f"{where}.{name}", "nothing", here[name])
            else:
                self.value(f"{where}.{name}", recorded[name], here[name])

    def _list(self, where: str, recorded: list[Any], here: list[Any]) -> None:
        """Most lists have no order; what is the same thing is told by what it has in common."""
        pairs, missing, more = self._pairs(recorded, here)
        if (missing or more) and not self.loose:
            self._differ(f"{where} length", f"also {_brief(missing)}", f"also {_brief(more)}")
        for one, other in pairs:
            self.value(f"{where}[]", one, other)

    def _pairs(self, recorded: list[Any], here: list[Any]) -> tuple[list[tuple[Any, Any]], list[Any], list[Any]]:
        """The likest first; where not all can have one, only those that share a name."""
        translated = [self.names.all(one) for one in recorded]
        ranks = [(-_likeness(one, other), at, by) for at, one in enumerate(translated) for by, other in enumerate(here)]
        taken: dict[int, int] = {}
        for likeness, at, by in sorted(ranks):
            if at not in taken and by not in taken.values() and (len(recorded) == len(here) or likeness <= -NAMESAKE):
                taken[at] = by
        missing = [one for at, one in enumerate(recorded) if at not in taken]
        more = [one for by, one in enumerate(here) if by not in taken.values()]
        return [(recorded[at], here[by]) for at, by in sorted(taken.items())], missing, more

    def _same_text(self, recorded: str, here: str) -> bool:
        if recorded == HIDDEN or self.names.learn(recorded, here):
            return True
        if _in_order(self.names.here(recorded)) == _in_order(here):
            return True
        return any(moment.fullmatch(recorded) and moment.fullmatch(here) for moment in MOMENTS)

    def _differ(self, where: str, recorded: Any, here: Any) -> None:
        self.found.append(f"{where}: {_shown(recorded)}, here {_shown(here)}")


class Replay:
    """One scenario against one devcloud. machines: the made-up ones, whose gate holds what is under way."""

    def __init__(self, service: Any, exchanges: list[Exchange], names: Names) -> None:
        self.service = service
        self.exchanges = exchanges
        self.names = names
        self._http = requests.Session()
        self._http.trust_env = False  # looking for proxies takes longer than asking
        self._token = service.cloud.token()

    def run(self) -> dict[str, list[str]]:
        """What differs in each exchange, by its title."""
        try:
            self.settle()
            return {exchange.title: self.one(exchange) for exchange in self.exchanges}
        finally:
            self.service.machines.gate.set()
            self.service.scheduled.set()
            self._http.close()

    def one(self, exchange: Exchange) -> list[str]:
        self.names.words = dict.fromkeys(WORDS if exchange.service == "keystone" else (), "devcloud")
        self._direct(exchange)
        answer = self._send(exchange)
        if exchange.method == "GET" and exchange.service == "nova":
            answer = self._waited_for(exchange, answer)
        elif self.service.machines.gate.is_set() and exchange.service == "nova":
            self.settle()
        self._token = answer.headers.get("X-Subject-Token", self._token)
        self._learn_page(exchange, answer)
        return self.compare(exchange, answer)

    def compare(self, exchange: Exchange, answer: requests.Response) -> list[str]:
        comparison = Comparison(self.names, loose="limit=" in exchange.path and "/servers" not in exchange.path)
        if answer.status_code != exchange.status:
            return [f"status: {exchange.status}, here {answer.status_code} {_shown(_body(answer))}"]
        comparison.value("$", exchange.answer, _body(answer))
        here = {name.lower(): value for name, value in answer.headers.items()}
        for name in sorted(HEADERS):
            recorded, told = exchange.headers.get(name), here.get(name)
            if (recorded or told) and not (recorded and told and _same_header(self.names, recorded, told)):
                comparison.found.append(f"header {name}: {_shown(recorded)}, here {_shown(told)}")
        return comparison.found

    def settle(self) -> None:
        """Until nothing is under way any more."""
        _until(lambda: not any(one.task_state for one in self.service.cloud.compute.servers()))

    def _send(self, exchange: Exchange) -> requests.Response:
        headers = dict(exchange.asked)
        if "X-Auth-Token" in headers:
            headers["X-Auth-Token"] = self._token if headers["X-Auth-Token"] == "good" else "forged"
        version = headers.get("OpenStack-API-Version", "").partition("compute ")[2]
        if version:
            headers["X-OpenStack-Nova-API-Version"] = version
        url = self.service.layout.url + PATHS[exchange.service] + self.names.path(exchange.path)
        return self._http.request(exchange.method, url, data=self._payload(exchange), headers=headers, timeout=20)

    def _payload(self, exchange: Exchange) -> str | bytes | None:
        if exchange.body is None:
            return None
        if exchange.asked.get("Content-Type") == "application/octet-stream":
            return b"x" * 4096
        text = json.dumps(self.names.all(exchange.body))
        return text.replace(HIDDEN, self.service.layout.password)

    def _waited_for(self, exchange: Exchange, answer: requests.Response) -> requests.Response:
        """Where the recording waited, wait until here is the same status."""
        wanted = {(row["name"], row["status"]) for row in exchange.servers}

        def same() -> bool:
            nonlocal answer
            if answer.status_code == 404:
                return True
            rows = _body(answer)
            rows = [rows["server"]] if "server" in rows else rows.get("servers", [])
            under_way = any(row["OS-EXT-STS:task_state"] for row in rows)
            if not under_way or {(row["name"], row["status"]) for row in rows} == wanted:
                return True
            answer = self._send(exchange)
            return False

        if wanted or exchange.status == 404:
            _until(same)
        return answer

    def _direct(self, exchange: Exchange) -> None:
        """Hold what is under way where the recording shows it so; let machines fail where they failed."""
        metadata = (exchange.body or {}).get("server", {}).get("metadata") if isinstance(exchange.body, dict) else None
        if exchange.method != "GET":
            fault = (metadata or {}).get("osbench_fail")
            self.service.machines.broken = f"osbench_fail={fault}" if fault else None
        gone = exchange.method == "GET" and exchange.status == 404 and GONE.search(exchange.path)
        shown = exchange if exchange.servers or gone else self._next_shown(exchange)
        if shown is None:
            return
        states = {row["OS-EXT-STS:task_state"] for row in shown.servers if row["status"] != "ERROR"}
        for gate, held in (
            (self.service.machines.gate, bool(states - {None})),
            (self.service.scheduled, "scheduling" in states),
        ):
            (gate.clear if held else gate.set)()
        if self.service.scheduled.is_set():
            self._schedule()

    def _schedule(self) -> None:
        """Until every server has its host."""
        self.service.scheduled.set()
        _until(lambda: not any(one.task_state == "scheduling" for one in self.service.cloud.compute.servers()))

    def _next_shown(self, exchange: Exchange) -> Exchange | None:
        """Where a change is seen next; none if nothing is changed."""
        if "vm_state building" in str(exchange.answer):
            self._schedule()
        if exchange.method == "GET" or exchange.status >= 400 or exchange.service != "nova":
            return None
        server = ID.findall(exchange.path)
        for one in self.exchanges[exchange.number + 1 :]:
            changes_again = one.method != "GET" and one.status < 300 and server and ID.findall(one.path) == server
            if one.servers or changes_again:
                return one
        return exchange

    def _learn_page(self, exchange: Exchange, answer: requests.Response) -> None:
        """The last of a page is the next one's marker, whichever it is here."""
        recorded, here = exchange.answer, _body(answer)
        if "limit=" not in exchange.path or not isinstance(recorded, dict) or not isinstance(here, dict):
            return
        for name, rows in recorded.items():
            if isinstance(rows, list) and rows and here.get(name) and "id" in rows[-1]:
                self.names.markers[rows[-1]["id"]] = here[name][-1]["id"]


HEADERS = (
    *("content-type", "vary", "openstack-api-version", "x-openstack-nova-api-version", "location"),
    *("www-authenticate", "x-subject-token", "x-openstack-request-id", "x-compute-request-id"),
)


def _in_order(text: str) -> str:
    """With ids that stand beside each other sorted: which comes first is up to a database."""
    return SEVERAL.sub(lambda match: ",".join(sorted(match[0].split(","))), text)


def _likeness(one: Any, other: Any) -> float:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return NAMESAKE * float(one == other)
    named = sum(
        NAMESAKE for name in ("id", "name", "type", "alias", "Name") if name in one and one[name] == other.get(name)
    )
    return named + sum(name in other and other[name] == value for name, value in one.items()) / 1000


def _same_header(names: Names, recorded: str, here: str) -> bool:
    if recorded in (HIDDEN, "req-"):
        return here.startswith(recorded.strip(HIDDEN))
    return names.here(recorded).lower() == here.lower()


def _body(answer: requests.Response) -> Any:
    if not answer.content:
        return None
    return answer.json() if "json" in answer.headers.get("Content-Type", "") else answer.text


def _until(done: Any, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.002)


def _brief(rows: list[Any]) -> list[Any]:
    return [row.get("name") or row.get("id") or row.get("Name") if isinstance(row, dict) else row for row in rows]


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) < 200 else f"{text[:150]} ... {text[-40:]}"
