"""A cron line's five fields in ("*/10 * * * mon-fri"), the same times as systemd's OnCalendar writes them out."""

from __future__ import annotations

import re

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
# name, lowest, highest, words that stand for numbers from the lowest on; cron has two Sundays, 0 and 7
FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("weekday", 0, 7, DAYS),
)
PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")


def calendar(schedule: str) -> str:
    """OnCalendar for a cron schedule. Raises ValueError that says what of it can't be read."""
    fields = SHORT.get(schedule.strip().lower(), schedule).split()
    if len(fields) != len(FIELDS):
        raise ValueError(f"{schedule!r} is neither five fields (minute hour day month weekday) nor {', '.join(SHORT)}")
    minutes, hours, days, months, weekdays = (
        _numbers(text, *limits) for text, limits in zip(fields, FIELDS, strict=True)
    )
    if days and weekdays:
        raise ValueError(f"{schedule!r} names days and weekdays: cron takes either then; make it two entries")
    names = dict.fromkeys(DAYS[number % 7].title() for number in weekdays)
    when = f"*-{_listed(months)}-{_listed(days)} {_listed(hours)}:{_listed(minutes)}:00"
    return f"{','.join(names)} {when}" if names else when


def _numbers(text: str, name: str, low: int, high: int, words: tuple[str, ...]) -> list[int]:
    """What a field stands for; [] for every one there is."""
    found = {number for part in text.lower().split(",") for number in _part(part, name, low, high, words)}
    return [] if found >= set(range(low, high + 1)) else sorted(found)


def _part(text: str, name: str, low: int, high: int, words: tuple[str, ...]) -> range:
    match = PART.fullmatch(text)
    if match is None:
        raise ValueError(f"{name} {text!r} can't be read")
    step = int(match["step"] or 1)
    if match["first"] == "*" and match["last"] is None:
        first, last = low, high
    else:
        first = _number(match["first"], name, low, high, words)
        to_the_end = high if match["step"] else first
        last = to_the_end if match["last"] is None else _number(match["last"], name, low, high, words)
    if step < 1 or last < first:
        raise ValueError(f"{name} {text!r} is no time at all")
    return range(first, last + 1, step)


def _number(text: str, name: str, low: int, high: int, words: tuple[str, ...]) -> int:
    number = words.index(text) + low if text in words else int(text) if text.isdigit() else -1
    if not low <= number <= high:
        raise ValueError(f"{name} {text!r} is not within {low} and {high}")
    return number


def _listed(numbers: list[int]) -> str:
    return ",".join(f"{number:02}" for number in numbers) or "*"
