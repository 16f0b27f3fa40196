"""Servers and batch sizes in, the servers in batches out: a change meets one of them before it meets them all."""

from __future__ import annotations

from collections.abc import Sequence

from deploymachine.errors import UsageError
from deploymachine.inventory import Server


def batches(servers: Sequence[Server], sizes: Sequence[int | str]) -> list[list[Server]]:
    """Each size is a number of servers or, as "25%", a part of all, one at least. The last is used until none is left.

    Raises UsageError for what is no size.
    """
    numbers = [_number(size, len(servers)) for size in sizes]
    left, found = list(servers), list[list[Server]]()
    while left:
        size = numbers[min(len(found), len(numbers) - 1)]
        found.append(left[:size])
        left = left[size:]
    return found


def _number(size: int | str, count: int) -> int:
    text = str(size)
    part = text.removesuffix("%")
    if not part.isascii() or not part.isdigit() or int(part) == 0 or (part != text and int(part) > 100):
        raise UsageError(
            f"{text!r} is no size of a batch",
            why="it is a number of servers, or a part of all of them",
            hint="for example --batch 1,25%,100%",
        )
    return max(1, count * int(part) // 100) if part != text else int(part)
