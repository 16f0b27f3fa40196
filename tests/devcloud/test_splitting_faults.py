"""A database that moves while writers sign the book, and what goes wrong meanwhile: one database, every signature."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from fleet import own_deployment
from machine_world import until
from split_world import OPTIONS, Story, apart, interrupted, killed, power_loss, signed

pytestmark = [
    pytest.mark.devcloud,
    pytest.mark.skipif(
        "DEPLOYMACHINE_SLOW_FLEETS" not in os.environ,
        reason="takes its time: DEPLOYMACHINE_SLOW_FLEETS=1, or `make test-fleets`",
    ),
]
FRONT = "box1"
SETTINGS = f"""
OPENSTACK_SERVERS = {{"appbalancer": [("{FRONT}", "m1.small")], "dbserver": [("dbserver1", "m1.small")]}}
"""
LINES = ("openstack_bootem", "root provision", "everything launch")
# What is printed as a step begins, in their order.
STEPS = (
    "boot",
    "provision",
    "let in and cook",
    "copy, and have the copies follow",
    "database: .* takes over",
    "ask for every site through every balancer",
    "cook every server",
    "stop on",
    "ask for every site once more",
)
COPYING, SWITCHING, SETTLING = STEPS[3], STEPS[4], STEPS[6]
RESUME, ABORT = ("move", "--resume", "--yes"), ("move", "--abort", "--yes")


def begins(step: str) -> str:
    return rf"^\d+/\d+ .*{step}"


class Moves:
    """Each from the server that leads to one of another name."""

    def __init__(self, story: Story) -> None:
        self.story, self.fleet = story, story.fleet
        self.old = self.new = "dbserver1"
        self.number = 1

    def next(self) -> tuple[str, ...]:
        """The words of the next one."""
        self.number += 1
        self.old, self.new = self.story.leads(), f"dbserver{self.number}"
        return "move", "dbserver", "--to", self.new, *OPTIONS

    def well(self, leads: str, *, failures: bool = False) -> None:
        """That one leads alone, holds the whole book, and the site takes signatures again."""
        assert self.story.leads() == leads
        self.story.writing.goes_on(60)
        if not failures:
            assert self.story.writing.failures == []
        self.story.writing.failures.clear()
        self.story.assert_book()

    def forgotten(self) -> None:
        """Those that were set aside are deleted."""
        self.fleet.try_command("fab", "openstack_leaks", "--delete", "--data", "--yes")


@pytest.fixture(scope="module")
def moves(devcloud) -> Iterator[Moves]:
    home = devcloud.state.parent / "splitting-faults"
    with (
        own_deployment(devcloud.directory / "clouds.yaml", home, FRONT, SETTINGS, LINES) as fleet,
        signed(fleet) as told,
    ):
        yield Moves(told)


def test_killed_as_every_step_begins_it_goes_on_when_told_to(moves: Moves) -> None:
    words = moves.next()
    for step in STEPS:
        killed(moves.fleet, words, begins(step))
        words = RESUME
    moves.fleet.fab(*RESUME)
    moves.well(moves.new)
    moves.fleet.fab("move", "--finish", "--yes")
    moves.story.assert_settled()


@pytest.mark.parametrize("step", STEPS)
def test_killed_in_the_middle_of_a_step_it_goes_back_when_told_to(moves: Moves, step: str) -> None:
    killed(moves.fleet, moves.next(), begins(step), further=2)
    moves.fleet.fab(*ABORT)
    moves.well(moves.old)
    moves.forgotten()


@pytest.mark.parametrize("step", [COPYING, SWITCHING, SETTLING])
@pytest.mark.parametrize("who", ["old", "new"])
def test_after_a_power_loss_it_goes_on_when_told_to(moves: Moves, who: str, step: str) -> None:
    words = moves.next()
    name = getattr(moves, who)
    code, told = interrupted(moves.fleet, words, begins(step), lambda: power_loss(moves.fleet, name))
    assert (code, "error: " in told) in ((1, True), (0, False))
    if moves.fleet.server(name).state != "ACTIVE":
        moves.fleet.fab("openstack_boot", name)
    assert until(lambda: moves.story.up(name))
    if code:
        moves.fleet.fab(*RESUME)
    moves.well(moves.new, failures=True)
    moves.fleet.fab("move", "--finish", "--yes")


def test_servers_that_do_not_reach_each_other(moves: Moves) -> None:
    words = moves.next()
    with apart(moves.fleet, moves.old, moves.new):
        code, told = interrupted(moves.fleet, words, begins(COPYING), lambda: None)
    assert (code, "error: " in told) == (1, True)
    moves.well(moves.old)
    moves.fleet.fab(*ABORT)
    moves.forgotten()


def test_a_disk_that_is_full(moves: Moves) -> None:
    small = "mkdir -p /var/lib/postgresql && mount -t tmpfs -o size=20m full /var/lib/postgresql"
    words = moves.next()
    code, told = interrupted(moves.fleet, words, begins(STEPS[2]), lambda: moves.fleet.sudo(moves.new, small))
    assert (code, "error: " in told) == (1, True)
    moves.well(moves.old)
    moves.fleet.fab(*ABORT)
    moves.forgotten()
