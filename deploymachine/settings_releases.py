"""What settings.py says of releases in, frozen and checked values out: how many servers are switched at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from deploymachine.batches import batches
from deploymachine.errors import UsageError


def _sizes(sizes: tuple[int | str, ...]) -> tuple[int | str, ...]:
    if not sizes:
        raise ValueError('is empty: [1, "25%", "100%"] switches one server, then a quarter, then all that are left')
    try:
        batches([], sizes)
    except UsageError as error:
        raise ValueError(f'{error.what}: it is a number of servers from 1 on, or a part of them as "25%"') from None
    return sizes


Batch = Annotated[tuple[int | str, ...], AfterValidator(_sizes)]
