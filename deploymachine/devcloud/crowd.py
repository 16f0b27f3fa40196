"""An order for a crowd goes in; servers that are only told of, with no machine behind them, come out."""

from __future__ import annotations

from functools import cache

from deploymachine.devcloud.ids import builtin_id
from deploymachine.devcloud.state import FLAVORS, IMAGES, Server
from deploymachine.devcloud.trouble import Order

SHOWN_AS = {"status": "ACTIVE", "vm_state": "active", "task_state": None, "power_state": 1, "host": "devcloud-1"}
NAME = "other"


def members(orders: list[Order]) -> list[Server]:
    return [server for order in orders for server in _members(order.id, order.name, order.count, _pairs(order))]


def _pairs(order: Order) -> tuple[tuple[str, str], ...]:
    return tuple(order.metadata.items())


@cache
def _members(order_id: str, name: str, count: int, metadata: tuple[tuple[str, str], ...]) -> list[Server]:
    """name: what theirs begin with."""
    begin = NAME if name == "*" else name
    return [
        Server(
            id=builtin_id("crowd", order_id, str(number)),
            name=f"{begin}{number}",
            flavor_id=FLAVORS[0].id,
            image_id=IMAGES[0].id,
            metadata=dict(metadata),
            launched="2025-01-01T00:00:00Z",
            **SHOWN_AS,  # type: ignore[arg-type]
        )
        for number in range(1, count + 1)
    ]
