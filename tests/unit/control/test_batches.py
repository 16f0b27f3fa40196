"""Servers in batches, and the minutes at which they may reboot."""

from __future__ import annotations

import pytest

from deploymachine.batches import batches
from deploymachine.errors import UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.secrets import Secrets
from deploymachine.servertypes import Deployment, attributes
from deploymachine.settings import Settings
from deploymachine.settings_base import moment_in


def servers(count: int) -> list[Server]:
    return [Server(f"appnode{number}", "appnode") for number in range(count)]


@pytest.mark.parametrize(
    ("count", "sizes", "expected"),
    [
        (1, (1, "25%", "100%"), [1]),
        (3, (1, "25%", "100%"), [1, 1, 1]),
        (12, (1, "25%", "100%"), [1, 3, 8]),
        (7, (2,), [2, 2, 2, 1]),
        (5, ("50%",), [2, 2, 1]),
        (0, (1,), []),
    ],
)
def test_the_first_batch_is_small(count: int, sizes: tuple[int | str, ...], expected: list[int]) -> None:
    found = batches(servers(count), sizes)
    assert [len(batch) for batch in found] == expected
    assert [server for batch in found for server in batch] == servers(count)


@pytest.mark.parametrize("size", ["0", "0%", "101%", "-1", "half", ""])
def test_what_is_no_size_is_refused(size: str) -> None:
    with pytest.raises(UsageError, match="no size of a batch"):
        batches(servers(2), [size])


@pytest.mark.parametrize(
    ("window", "expected"),
    [("03:00-05:00", ["03:00", "03:30", "04:00", "04:30"]), ("23:00-01:00", ["23:00", "23:30", "00:00", "00:30"])],
)
def test_no_two_servers_reboot_at_once(window: str, expected: list[str]) -> None:
    assert [moment_in(window, position, 4) for position in range(4)] == expected


def test_each_server_is_told_its_own_moment(settings: Settings, inventory: Inventory) -> None:
    def told(window: str | None) -> list[str | None]:
        changed = settings.model_copy(update={"REBOOT_WINDOW": window})
        here = Deployment(changed, inventory, Secrets(settings.state / "secrets.json"))
        return [attributes(server, here)["base.reboot_time"] for server in inventory]

    assert told(None) == [None] * 4
    moments = told("03:00-05:00")
    assert len(set(moments)) == 4
    assert all(moment is not None and "03:00" <= moment < "05:00" for moment in moments)
