"""Events of many servers in, what the user sees out: a live table on a terminal, lines in a pipe, JSON on request."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from deploymachine.errors import UsageError
from deploymachine.inventory import Server

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

Event = dict[str, Any]
FORMATS = ("table", "lines", "json")
TOLD = {"changed", "failed", "would-change", "unknown"}


@dataclass
class Row:
    """One server's progress. done and total count the resources of the phase, changes those of all phases."""

    server: Server
    phase: str = "waiting"
    now: str = ""
    done: int = 0
    total: int = 0
    changes: int = 0
    pending: int = 0
    state: str = "running"
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.began


class Report:
    """Collects what happens on every server. Subclasses show it; safe to call from many threads."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.rows: dict[str, Row] = {}
        self.began = time.monotonic()
        self._lock = threading.RLock()

    def __enter__(self) -> Report:
        return self

    def __exit__(self, kind: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None) -> None:
        for row in self.rows.values():
            if row.state == "running":
                self._end(row, "ok" if kind is None else "stopped")
        self.close(finished=kind is None)

    def expect(self, servers: Sequence[Server]) -> None:
        """Show a row for each of these servers from now on."""
        with self._lock:
            for server in servers:
                self.rows.setdefault(server.name, Row(server))
            self.changed()

    def phase(self, server: Server, name: str) -> None:
        """The server goes on to another phase."""
        with self._lock:
            row = self._row(server)
            row.phase, row.now, row.done, row.total, row.state, row.ended = name, "", 0, 0, "running", None
            self.show_phase(row)
            self.changed()

    def event(self, server: Server, event: Event) -> None:
        """One event of a run on the server."""
        with self._lock:
            row = self._row(server)
            self._count(row, event)
            self.show_event(row, event)
            self.changed()

    def end(self, server: Server, state: str, note: str = "") -> None:
        """The server's work is over: state is ok, failed, skipped or pending."""
        with self._lock:
            row = self._row(server)
            row.now = note
            self._end(row, state)
            self.changed()

    def _end(self, row: Row, state: str) -> None:
        row.state, row.ended = state, time.monotonic()
        self.show_end(row)

    def _row(self, server: Server) -> Row:
        return self.rows.setdefault(server.name, Row(server))

    def _count(self, row: Row, event: Event) -> None:
        kind = event["event"]
        if kind == "run-begun":
            row.total, row.done = event.get("count", 0), 0
        elif kind in {"resource-begun", "step-begun"}:
            row.now = _name(event)
        elif kind in {"resource-done", "step-done"}:
            row.done += 1
            row.changes += event["state"] == "changed"
            row.pending += event["state"] in {"would-change", "unknown"}

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return time.monotonic() - self.began

    def summary(self) -> str:
        """One line: how many servers, how many changes, how long."""
        rows = list(self.rows.values())
        changes, pending = sum(row.changes for row in rows), sum(row.pending for row in rows)
        failed = sum(row.state in {"failed", "stopped"} for row in rows)
        parts = [_counted(len(rows), "server"), _counted(changes, "change")]
        parts += [f"{pending} pending"] if pending else []
        parts += [f"{failed} failed"] if failed else []
        return f"{', '.join(parts)} in {self.seconds:.1f} s"

    def changed(self) -> None:
        """Something is different: a live view draws itself again."""

    def show_phase(self, row: Row) -> None:
        """Tell that a server goes on to another phase."""

    def show_event(self, row: Row, event: Event) -> None:
        """Tell one event."""

    def show_end(self, row: Row) -> None:
        """Tell that a server's work is over."""

    def close(self, finished: bool) -> None:
        """Nothing more comes. finished: without an error."""


class LineReport(Report):
    """Plain lines, each with its server in front: for pipes, logs and CI."""

    def show_phase(self, row: Row) -> None:
        self._say(row, row.phase)

    def show_event(self, row: Row, event: Event) -> None:
        if event["event"] in {"resource-done", "step-done"} and event["state"] in TOLD:
            self._say(row, _sentence(event))
            for line in event.get("diff", "").splitlines() if event["state"] == "would-change" else _excused(event):
                self._say(row, f"    {line}")

    def show_end(self, row: Row) -> None:
        note = f": {row.now}" if row.now else ""
        self._say(row, f"{row.state}{note} ({_counted(row.changes, 'change')}, {row.seconds:.1f} s)")

    def close(self, finished: bool) -> None:
        if finished and self.rows:
            print(self.summary(), file=self.stream, flush=True)

    def _say(self, row: Row, text: str) -> None:
        print(f"{row.server.name}: {text}", file=self.stream, flush=True)


class JsonReport(Report):
    """Every event as it came, one JSON object a line, with its server."""

    def show_phase(self, row: Row) -> None:
        self._say(row, {"event": "phase", "phase": row.phase})

    def show_event(self, row: Row, event: Event) -> None:
        self._say(row, event)

    def show_end(self, row: Row) -> None:
        self._say(
            row,
            {
                "event": "end",
                "state": row.state,
                "note": row.now,
                "changes": row.changes,
                "seconds": round(row.seconds, 2),
            },
        )

    def _say(self, row: Row, event: Event) -> None:
        print(json.dumps({"server": row.server.name, **event}, ensure_ascii=False), file=self.stream, flush=True)


class TableReport(Report):
    """A table that redraws itself: one row a server, its phase, resources, changes and time."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._live: Live | None = None
        self._diffs: list[str] = []

    def changed(self) -> None:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=self.stream), get_renderable=self._table, refresh_per_second=8)
            self._live.start()

    def show_event(self, row: Row, event: Event) -> None:
        if event.get("state") in {"would-change", "unknown"}:
            self._diffs.append(f"{row.server.name}: {_sentence(event)}")
            self._diffs += [f"    {line}" for line in event.get("diff", "").splitlines()]
        elif event.get("ignored"):
            self._diffs += [f"{row.server.name}: {_sentence(event)}", *(f"    {line}" for line in _excused(event))]

    def close(self, finished: bool) -> None:
        if self._live is not None:
            self._live.stop()
        for line in self._diffs:
            print(line, file=self.stream)
        if finished and self.rows:
            print(self.summary(), file=self.stream, flush=True)

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="dim")
        for title, justify in (
            ("server", "left"),
            ("type", "left"),
            ("phase", "left"),
            ("resources", "right"),
            ("changes", "right"),
            ("time", "right"),
            ("", "left"),
        ):
            table.add_column(title, justify=justify, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
        with self._lock:
            for row in self.rows.values():
                count = f"{row.done}/{row.total}" if row.total else (str(row.done) if row.done else "")
                cells = [row.server.name, row.server.type, row.phase, count, str(row.changes), f"{row.seconds:.1f} s"]
                table.add_row(*(Text(cell) for cell in cells), Text(*_mark(row)))
        return table


def _mark(row: Row) -> tuple[str, str]:
    marks = {
        "running": (row.now, "dim"),
        "ok": (f"✓ {row.now}" if row.now else "✓", "green"),
        "skipped": (f"✓ {row.now}", "green"),
        "pending": (f"… {_counted(row.pending, 'change')} pending", "yellow"),
    }
    return marks.get(row.state, (f"✗ {row.state}{': ' + row.now if row.now else ''}", "red"))


def _name(event: Event) -> str:
    return f"{event['type']}[{event['name']}]" if "type" in event else str(event.get("step", ""))


def _sentence(event: Event) -> str:
    changes = "; ".join(event.get("changes", ())) or event.get("detail", "")
    return f"{_name(event)} {event['state']}" + (f": {changes}" if changes else "")


def _excused(event: Event) -> list[str]:
    """Why a resource failed, where the run goes on all the same: no error will tell it."""
    error = event.get("error") or {}
    return [line for line in (error.get("message"), *error.get("output", ())) if line] if event.get("ignored") else []


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def report(stream: TextIO | None = None) -> Report:
    """The report that fits: DEPLOYMACHINE_OUTPUT (table, lines or json) decides, else whether it is a terminal."""
    stream = stream or sys.stdout
    wanted = os.environ.get("DEPLOYMACHINE_OUTPUT") or ("table" if stream.isatty() else "lines")
    makers: dict[str, Callable[[TextIO], Report]] = {"table": TableReport, "lines": LineReport, "json": JsonReport}
    if wanted not in makers:
        raise UsageError(f"DEPLOYMACHINE_OUTPUT: unknown format {wanted!r}", hint=f"it is one of {', '.join(FORMATS)}")
    return makers[wanted](stream)
