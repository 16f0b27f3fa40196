"""A question about logs in, the lines that answer it out, sorted by time: of a lognode's files, or of one server's.

request: "since" (seconds since 1970), "servers" (names; None: all), "site" (None: all), "sites" (all there are), "grep"
(a text that lines hold; None: any), "follow", "central" (read what a lognode keeps of everybody), "gone" (those of
"servers" that only a lognode may know of) and "host".
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Callable, Dict, Iterable, List

from logs.lines import Line, Wanted, by_time
from logs.sources import Central, Own

Event = Dict[str, Any]
Emit = Callable[[Event], None]
BATCH = 200
POLL = 0.4  # seconds
PULSE = 2.0  # seconds; who has gone away is noticed by speaking


def main(request: Event, emit: Emit) -> int:
    """Tell the lines there are, then, where it is asked to follow, each new one until nobody listens. The exit code."""
    began = time.monotonic()
    wanted = Wanted(request)
    source = Central(wanted) if request["central"] else Own(wanted, request["host"])
    told = 0
    if request["central"] and (strangers := set(request["gone"]) - set(source.servers())):
        emit(_nobody(strangers, source.servers()))
        return 1
    try:
        told = _tell(source.history(), emit)
        if request["follow"]:
            emit({"event": "log-caught-up"})
            _follow(source, emit)
    except OSError:  # nobody listens any more, which is how following ends
        return 0
    finally:
        source.close()
    with suppress(OSError):
        ms = round((time.monotonic() - began) * 1000, 1)
        emit({"event": "run-done", "state": "ok", "totals": {}, "ms": ms, "result": {"lines": told}})
    return 0


def _nobody(strangers: Iterable[str], known: Iterable[str]) -> Event:
    names = ", ".join(sorted(strangers))
    return {
        "event": "failure",
        "what": f"there is no server {names}, and there are no logs of one",
        "why": f"there are logs of {', '.join(known) or 'nobody'}",
    }


def _tell(lines: Iterable[Line], emit: Emit) -> int:
    batch: List[Line] = []
    told = 0
    for line in lines:
        batch.append(line)
        if len(batch) == BATCH:
            emit({"event": "log", "lines": batch})
            told += len(batch)
            batch = []
    if batch:
        emit({"event": "log", "lines": batch})
    return told + len(batch)


def _follow(source: Any, emit: Emit) -> None:
    spoke = time.monotonic()
    while True:
        time.sleep(POLL)
        told = _tell(sorted(source.news(), key=by_time), emit)
        if not told and time.monotonic() - spoke > PULSE:
            emit({"event": "log-pulse"})
        if told or time.monotonic() - spoke > PULSE:
            spoke = time.monotonic()
