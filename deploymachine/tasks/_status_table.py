"""Servers and concerns in, a table and a line for each concern out; or all of it as values for JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from deploymachine.status.asking import Seen
from deploymachine.status.judging import NOW, Concern, age, certificate_days
from deploymachine.tasks._table import WIDE, written_age

if TYPE_CHECKING:
    from rich.console import Console

COLOURS = {"now": "red", "soon": "yellow", "ok": "green"}
Cell = Callable[[Any, datetime], str]


def _percent(part: float) -> str:
    return f"{part:.0%}"


def _services(answer: Any, _now: datetime) -> str:
    down = [one for one in answer["programs"] or () if one["state"] not in ("RUNNING", "WAITING")]
    wrong = len(answer["units"]["failed"]) + len(answer["units"]["stopped"]) + len(down)
    return f"{wrong} down" if wrong or answer["units"]["error"] else "ok"


def _sites(answer: Any, _now: datetime) -> str:
    return ", ".join(f"{one['name']} {one['commit'][:8] or '-'}" for one in answer["sites"])


def _database(answer: Any, _now: datetime) -> str:
    database = answer["database"]
    if database is None:
        return ""
    if database["role"] == "replica":
        return f"replica, {database['lag_seconds'] or 0:.0f} s behind"
    following = sum(one["state"] == "streaming" for one in database.get("replicas", ()))
    return f"{database['role']}, {following} follow" if following else str(database["role"])


def _backup(answer: Any, now: datetime) -> str:
    backup = (answer["database"] or {}).get("backup")
    if backup is None:
        return ""
    return "none" if backup.get("error") else written_age(now.timestamp() - backup["ended"])


def _certificate(answer: Any, now: datetime) -> str:
    days = [days for _, days in certificate_days(answer, now)]
    return "" if not days else "none" if None in days else f"{min(one for one in days if one is not None)} d"


def _cooked(answer: Any, now: datetime) -> str:
    cooked = answer["cooked"]
    if cooked is None:
        return "never"
    ago = written_age(age(cooked["time"], now))
    return f"{ago} ago" if cooked["state"] == "ok" else f"failed {ago} ago"


# Title, what it says, and what concerns colour it.
CELLS: tuple[tuple[str, Cell], ...] = (
    ("load", lambda answer, _: f"{answer['load'][1]:.1f}"),
    ("memory", lambda answer, _: _percent(answer["memory"]["used"] / answer["memory"]["total"])),
    ("disk", lambda answer, _: _percent(max(disk["used"] / disk["total"] for disk in answer["disks"]))),
    ("services", _services),
    ("sites", _sites),
    ("database", _database),
    ("backup", _backup),
    ("certificate", _certificate),
    ("reboot", lambda answer, _: "wanted" if answer["reboot"]["required"] else ""),
    ("cooked", _cooked),
)


def values(seen: Sequence[Seen], concerns: Sequence[Concern], now: datetime) -> dict[str, Any]:
    """What `fab status --json` prints. Memory and disks in bytes, times in UTC, ages in seconds."""
    return {
        "time": now.isoformat(timespec="seconds"),
        "ok": not concerns,
        "servers": [_value(one, now) for one in seen],
        "concerns": [vars(one) for one in concerns],
    }


def _value(seen: Seen, now: datetime) -> dict[str, Any]:
    server, answer = seen.server, seen.answer
    known = {
        "name": server.name,
        "type": server.type,
        "address": server.address,
        "private_ip": server.private_ip,
        "public_ip": server.public_ip,
        "state": server.state,
        "reachable": answer is not None,
        "provisioned": seen.provisioned,
        "error": None if seen.error is None else seen.error.what,
    }
    if answer is None:
        return known
    told = {key: value for key, value in answer.items() if key != "certificates"}
    told["certificates"] = [{"path": path, "days": days} for path, days in certificate_days(answer, now)]
    backup = (answer["database"] or {}).get("backup")
    if backup and not backup.get("error"):
        told["database"] = {**answer["database"], "backup": {**backup, "age": round(now.timestamp() - backup["ended"])}}
    good = (answer["cooked"] or {}).get("good")
    told["drift"] = None if good is None else _drifted(seen, good)
    return {**known, **told}


def _drifted(seen: Seen, good: Any) -> bool:
    return bool((good["fingerprint"], good["bundle"]) != (seen.wanted.fingerprint, seen.wanted.bundle))


def show(seen: Sequence[Seen], concerns: Sequence[Concern], now: datetime) -> None:
    """On standard output, in colour on a terminal. Columns that nobody has anything in are left out."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    titles, rows = _rows(seen, concerns, now)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(text, COLOURS.get(grade, "")) for text, grade in row))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)
    _tell(console, concerns, len(seen))


def _rows(
    seen: Sequence[Seen], concerns: Sequence[Concern], now: datetime
) -> tuple[list[str], list[list[tuple[str, str]]]]:
    """The titles, and for each server the cells with their grades."""
    titles = ["name", "type", "address", "state", "reachable", *(title for title, _ in CELLS)]
    grades = {(one.server, one.about): one.grade for one in reversed(concerns)}
    rows = [[(text, _grade(one, title, text, grades)) for title, text in zip(titles, _texts(one, now), strict=True)]
            for one in seen]  # fmt: skip
    used = [number for number in range(len(titles)) if number < 5 or any(row[number][0] for row in rows)]
    return [titles[number] for number in used], [[row[number] for number in used] for row in rows]


def _texts(seen: Seen, now: datetime) -> list[str]:
    server, answer = seen.server, seen.answer
    known = [server.name, server.type, server.address, server.state, "yes" if answer is not None else "no"]
    return [*known, *(cell(answer, now) if answer is not None else "" for _, cell in CELLS)]


def _grade(seen: Seen, title: str, text: str, grades: dict[tuple[str, str], str]) -> str:
    found = grades.get((seen.server.name, title))
    return found or ("ok" if text in ("yes", "ok", "ACTIVE") else "")


def _tell(console: Console, concerns: Sequence[Concern], count: int) -> None:
    from rich.text import Text

    servers = "1 server" if count == 1 else f"{count} servers"
    if not concerns:
        console.print(f"{servers}: nothing to do")
        return
    for one in concerns:
        line = Text(f"{one.grade:<5}", COLOURS[one.grade])
        console.print(line.append(f"{one.server}: {one.what}. Do: {one.do}", style="default"), soft_wrap=True)
    urgent = sum(one.grade == NOW for one in concerns)
    console.print(f"{servers}, {len(concerns)} to see to, {urgent} of them now")
