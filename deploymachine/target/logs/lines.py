"""Lines of logs as programs write them in; out come their times, and whether somebody wants them."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Iterable, Iterator, NamedTuple, Optional, Tuple

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,6}))?"
ZONE = r" ?(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)?"
# As nginx, PostgreSQL, supervisor, gunicorn, Celery and RabbitMQ write it; as access logs do; as Redis does.
STAMPS = [
    re.compile(rf"(?P<year>\d{{4}})[-/](?P<month>\d\d)[-/](?P<day>\d\d)[T ]{CLOCK}{ZONE}"),
    re.compile(rf"(?P<day>\d\d)/(?P<name>[A-Z][a-z]{{2}})/(?P<year>\d{{4}}):{CLOCK}{ZONE}"),
    re.compile(rf"(?P<day>\d\d) (?P<name>[A-Z][a-z]{{2}}) (?P<year>\d{{4}}) {CLOCK}{ZONE}"),
]
WITHIN = 120  # characters; what comes later is what a line is about, not when it was written


class Line(NamedTuple):
    """when: UTC as ISO 8601 with microseconds, so that texts sort as times do."""

    when: str
    server: str
    program: str
    text: str


def by_time(line: Line) -> str:
    """For sorting; lines of one moment stay in the order they came in."""
    return line.when


class Wanted:
    """Which lines were asked for."""

    def __init__(self, request: Dict[str, Any]) -> None:
        self.since: float = request["since"]
        self.from_when = stamp(datetime.fromtimestamp(self.since, timezone.utc))
        self.servers: Optional[Tuple[str, ...]] = request["servers"]
        self.site: Optional[str] = request["site"]
        self.sites: Iterable[str] = request["sites"]
        self.grep: str = request["grep"] or ""

    def of(self, server: str, program: str) -> bool:
        """May lines of that program on that server be wanted at all?"""
        there = self.servers is None or server in self.servers
        return there and (self.site is None or site_of(program, self.sites) == self.site)

    def __call__(self, line: Line) -> bool:
        if line.when < self.from_when:
            return False
        return not self.grep or self.grep in f"{line.server}/{line.program}: {line.text}"


def site_of(program: str, sites: Iterable[str]) -> Optional[str]:
    """Whose program it is: site-shop-eu is the site shop-eu's where there is one, else shop's."""
    named = (site for site in sites if re.search(rf"(?:^|[-_.@]){re.escape(site)}(?:$|[-_.@])", program))
    return max(named, key=len, default=None)


def stamp(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")


def time_in(text: str) -> Optional[str]:
    """When the line says it was written; None where it does not. A time without a zone is this server's."""
    head = text[:WITHIN]
    found = next((match for match in (pattern.search(head) for pattern in STAMPS) if match), None)
    if found is None:
        return None
    try:
        return stamp(_moment(found.groupdict()))
    except ValueError:
        return None


def _moment(parts: Dict[str, Optional[str]]) -> datetime:
    name = parts.get("name")
    month = MONTHS.index(name) + 1 if name else int(parts["month"] or 0)
    fraction = (parts["fraction"] or "").ljust(6, "0")
    hour, minute, second, day, year = (int(parts[key] or 0) for key in ("hour", "minute", "second", "day", "year"))
    moment = datetime(year, month, day, hour, minute, second, int(fraction))
    zone = parts["zone"]
    if zone is None:
        return moment.astimezone()
    if zone in ("Z", "UTC", "GMT"):
        return moment.replace(tzinfo=timezone.utc)
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return moment.replace(tzinfo=timezone(-offset if zone[0] == "-" else offset))


def of_file(texts: Iterable[str], server: str, program: str, otherwise: str) -> Iterator[Line]:
    """The lines of one file in their order. What has no time (a traceback) has that of the line before it.

    otherwise: the time of those before the first that has one.
    """
    when = otherwise
    for text in texts:
        when = max(when, time_in(text) or when)
        yield Line(when, server, program, text)


def of_lognode(texts: Iterable[str], server: str, program: str) -> Iterator[Line]:
    """The lines of one file that a lognode keeps: TIME SERVER/PROGRAM: TEXT."""
    for text in texts:
        when, _, rest = text.partition(" ")
        yield Line(when, server, program, rest.partition(": ")[2])


def of_journal(texts: Iterable[str], server: str) -> Iterator[Line]:
    """The lines of `journalctl --output=json`."""
    for text in texts:
        entry = json.loads(text)
        program = str(entry.get("SYSLOG_IDENTIFIER") or entry.get("_COMM") or "journal").replace(" ", "_")
        when = datetime.fromtimestamp(int(entry["__REALTIME_TIMESTAMP"]) / 1_000_000, timezone.utc)
        yield Line(stamp(when), server, program, _message(entry.get("MESSAGE")))


def _message(message: Any) -> str:
    """journalctl writes what is not UTF-8 as a list of bytes, and what is too long as null."""
    if isinstance(message, list):
        message = bytes(message).decode(errors="replace")
    return str(message or "").replace("\n", "\\n")
