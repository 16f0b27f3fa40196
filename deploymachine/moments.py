"""A time as people write it in, as UTC out."""

from __future__ import annotations

from datetime import datetime, timezone

from deploymachine.errors import UsageError

DAY = "%Y-%m-%d"
TIMES = (f"{DAY} %H:%M", f"{DAY} %H:%M:%S", f"{DAY} %H:%M:%S.%f")


def written(option: str, text: str, now: datetime, *, day_alone: bool = False) -> datetime | None:
    """ "2026-01-31 12:00" or "2026-01-31T12:00Z" (UTC) as a time; None where it is none.

    option: what it was given as. day_alone: whether "2026-01-31" will do. Raises UsageError for a time after `now`.
    """
    plain = text.strip().replace("T", " ").removesuffix("Z").removesuffix("+00:00")
    for form in (DAY, *TIMES) if day_alone else TIMES:
        try:
            when = datetime.strptime(plain, form).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
        if when > now:
            raise UsageError(f"{option} {text}: that is still to come", why=f"it is {now:%Y-%m-%d %H:%M:%S} now (UTC)")
        return when
    return None
