"""Where lines come from: Central, what a lognode keeps of everybody; Own, a server's own journal and log files."""

from __future__ import annotations

import glob
import gzip
import heapq
import itertools
import json
import os
import subprocess
from datetime import datetime, timezone
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from logs.lines import Line, Wanted, by_time, of_file, of_journal, of_lognode, stamp, time_in
from logs.tail import Tail

ROOT = os.environ.get("DEPLOYMACHINE_ROOT", "/")
KEPT = "var/log/servers"
FILES = "etc/deploymachine/logs.json"
FIELDS = "MESSAGE,SYSLOG_IDENTIFIER,_COMM"


class Central:
    """The files of a lognode: DAY/SERVER/PROGRAM.log."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.root = os.path.join(ROOT, KEPT)
        self.tails: Dict[str, Tuple[Tail, str, str]] = {}

    def servers(self) -> List[str]:
        """Those that there are logs of."""
        return sorted({os.path.basename(path) for path in glob.glob(os.path.join(self.root, "*", "*"))})

    def history(self) -> Iterator[Line]:
        """Day by day, so that never more files are open than a day has."""
        days = self._days()
        for day in days:
            for path in self._paths(day):
                self._tail(path)[0].skip_to(lambda text: text >= self.wanted.from_when if text else None)
            yield from heapq.merge(*(self._lines(path) for path in self._paths(day)), key=by_time)
            if day not in days[-2:]:
                self._forget(day)

    def news(self) -> Iterator[Line]:
        """What has come since; a day that is over may still get lines of a server that was cut off."""
        for day in self._days()[-2:]:
            for path in self._paths(day):
                yield from self._lines(path)

    def close(self) -> None:
        for tail, _, _ in self.tails.values():
            tail.close()

    def _lines(self, path: str) -> Iterator[Line]:
        tail, server, program = self._tail(path)
        return filter(self.wanted, of_lognode(tail.lines(), server, program))

    def _days(self) -> List[str]:
        there = os.listdir(self.root) if os.path.isdir(self.root) else []
        return sorted(day for day in there if day >= self.wanted.from_when[:10])

    def _paths(self, day: str) -> List[str]:
        every = sorted(glob.glob(os.path.join(self.root, glob.escape(day), "*", "*.log")))
        return [path for path in every if self.wanted.of(*_server_and_program(path))]

    def _tail(self, path: str) -> Tuple[Tail, str, str]:
        if path not in self.tails:
            self.tails[path] = (Tail(path), *_server_and_program(path))
        return self.tails[path]

    def _forget(self, day: str) -> None:
        for path in self._paths(day):
            self._tail(path)[0].close()
            del self.tails[path]


def _server_and_program(path: str) -> Tuple[str, str]:
    place, name = os.path.split(path)
    return os.path.basename(place), name[: -len(".log")]


class Own:
    """The journal and the log files of this server."""

    def __init__(self, wanted: Wanted, server: str) -> None:
        self.wanted, self.server = wanted, server
        self.journal = Journal(wanted.since)
        self.tails: Dict[str, Tail] = {}
        self.latest: Dict[str, str] = {}

    def servers(self) -> List[str]:
        return [self.server]

    def history(self) -> Iterator[Line]:
        files = [self._with_rotated(path, program) for path, program in self._files()]
        every = heapq.merge(self._of_journal(self.journal.history()), *files, key=by_time)
        return filter(self.wanted, every)

    def news(self) -> Iterator[Line]:
        yield from filter(self.wanted, self._of_journal(self.journal.news()))
        now = stamp(datetime.now(timezone.utc))
        for path, program in self._files():
            tail = self.tails.setdefault(path, Tail(path))
            self.latest[path] = self.latest.get(path) or now
            yield from filter(self.wanted, self._of_file(path, program, tail.lines()))

    def close(self) -> None:
        self.journal.close()
        for tail in self.tails.values():
            tail.close()

    def _of_file(self, path: str, program: str, texts: Iterable[str]) -> Iterator[Line]:
        for line in of_file(texts, self.server, program, self.latest.get(path, "")):
            self.latest[path] = line.when
            yield line

    def _of_journal(self, texts: Iterable[str]) -> Iterator[Line]:
        return (line for line in of_journal(texts, self.server) if self.wanted.of(line.server, line.program))

    def _files(self) -> List[Tuple[str, str]]:
        """(path, program) of every log file that is wanted."""
        try:
            with open(os.path.join(ROOT, FILES), encoding="utf-8") as file:
                patterns = json.load(file)
        except OSError:  # not cooked yet
            patterns = {}
        every = [
            (path, program.replace("*", os.path.basename(path)[: -len(".log")]))
            for pattern, program in sorted(patterns.items())
            for path in sorted(glob.glob(os.path.join(ROOT, pattern.lstrip("/"))))
        ]
        return [found for found in every if self.wanted.of(self.server, found[1])]

    def _with_rotated(self, path: str, program: str) -> Iterator[Line]:
        tail = self.tails.setdefault(path, Tail(path))
        tail.skip_to(self._is_late)
        rotated = sorted(glob.glob(glob.escape(path) + "[.-]*"), key=os.path.getmtime)
        texts = (text for old in rotated if os.path.getmtime(old) >= self.wanted.since for text in _all_of(old))
        return self._of_file(path, program, itertools.chain(texts, tail.lines()))

    def _is_late(self, text: str) -> Optional[bool]:
        when = time_in(text)
        return None if when is None else when >= self.wanted.from_when


def _all_of(path: str) -> Iterator[str]:
    opened: Any = gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")  # noqa: SIM115 (closed below)
    with opened as file:
        for line in file:
            yield line.rstrip(b"\r\n").decode(errors="replace")


class Journal:
    """systemd's journal, from a moment on."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.cursor = ""
        self._following: Optional[subprocess.Popen[bytes]] = None
        self._rest = b""

    def history(self) -> Iterator[str]:
        with self._started(f"--since=@{self.since:.6f}") as process:
            assert process.stdout is not None  # noqa: S101 (a pipe)
            try:
                for line in process.stdout:
                    text = line.decode(errors="replace")
                    self.cursor = json.loads(text)["__CURSOR"]
                    yield text
            finally:
                process.kill()

    def news(self) -> List[str]:
        """What came since the last time, without waiting for more."""
        if self._following is None:
            begin = f"--after-cursor={self.cursor}" if self.cursor else f"--since=@{self.since:.6f}"
            self._following = self._started("--follow", "--no-tail", begin)
            assert self._following.stdout is not None  # noqa: S101 (a pipe)
            os.set_blocking(self._following.stdout.fileno(), False)
        assert self._following.stdout is not None  # noqa: S101 (a pipe)
        *whole, self._rest = (self._rest + _what_is_there(self._following.stdout.fileno())).split(b"\n")
        return [line.decode(errors="replace") for line in whole]

    def close(self) -> None:
        if self._following is not None:
            with self._following as process:  # which waits for it, and closes the pipe
                process.kill()

    def _started(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = ["journalctl", "--quiet", "--no-pager", "--output=json", f"--output-fields={FIELDS}", *arguments]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=1 << 16
        )


def _what_is_there(number: int) -> bytes:
    found = b""
    while True:
        try:
            more = os.read(number, 1 << 16)
        except BlockingIOError:
            return found
        if not more:
            return found
        found += more
