"""A lognode moves while a server logs on and on: every line is there afterwards."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
from fleet import Fleet, own_deployment
from machine_world import until
from split_world import OPTIONS
from test_splitting import slow

pytestmark = [pytest.mark.devcloud, slow]
FRONT, OLD, NEW = "box1", "lognode1", "lognode2"
SETTINGS = f"""
OPENSTACK_SERVERS = {{"dbappbalancer": [("{FRONT}", "m1.small")], "lognode": [("{OLD}", "m1.small")]}}
"""
LINES = ("openstack_bootem", "root provision", "everything launch")
COUNTING = "n=0; while sleep 0.2; do n=$((n+1)); logger -t counting number $n; done"
KEPT = "cat /var/log/servers/*/{}/counting.log 2>/dev/null || true"


@pytest.fixture(scope="module")
def fleet(devcloud) -> Iterator[Fleet]:
    home = devcloud.state.parent / "splitting-logs"
    with own_deployment(devcloud.directory / "clouds.yaml", home, FRONT, SETTINGS, LINES) as made:
        yield made


def numbers(fleet: Fleet, name: str) -> list[int]:
    """What a lognode keeps of what the front has counted."""
    return [int(one) for one in re.findall(r"number (\d+)$", fleet.sudo(name, KEPT.format(FRONT)), re.MULTILINE)]


def test_a_lognode_moves_with_all_that_it_has_taken_in(fleet: Fleet) -> None:
    fleet.sudo(FRONT, f"systemd-run --quiet --unit=counting sh -c {shlex.quote(COUNTING)}")
    assert until(lambda: len(numbers(fleet, OLD)) > 20, 120)
    before = numbers(fleet, OLD)
    fleet.fab("move", "lognode", "--to", NEW, *OPTIONS)
    fleet.fab("move", "--finish", "--yes")
    fleet.sudo(FRONT, "systemctl stop counting")
    last = int(fleet.sudo(FRONT, "journalctl -t counting -o cat -n 1").split()[-1])
    assert until(lambda: last in numbers(fleet, NEW), 120)
    there = numbers(fleet, NEW)
    # Whose lognode starts anew sends once more what that one has not acknowledged, as ever; so twice is no fault here.
    assert sorted(set(there)) == list(range(before[0], last + 1))
    assert there[: len(before)] == before
    told = fleet.fab("logs", "--since", "1d", "--grep", f"number {before[0]}")
    assert f"{FRONT}/counting: number {before[0]}\n" in told
