"""A database that moves while writers sign the book, and what goes wrong meanwhile: one database, every signature."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest
from fleet import own_deployment
from machine_world import until
from split_world import (
    OPTIONS,
    Story,
    apart,
    damaged,
    interrupted,
    killed,
    overwhelmed,
    power_loss,
    signed,
    silent,
)

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
JOINING, COPYING, SWITCHING, ASKING, SETTLING = STEPS[2:7]
RESUME, ABORT = ("move", "--resume", *OPTIONS), ("move", "--abort", *OPTIONS)


def begins(step: str) -> str:
    return rf"^\d+/\d+ .*{step}"


class Moves:
    """Each from the server that leads to one of another name."""

    def __init__(self, story: Story) -> None:
        self.story, self.fleet = story, story.fleet
        self.old = self.new = "dbserver1"
        self.number = 1

    def next(self) -> tuple[str, ...]:
        """The words of the next one. What a test before left under way, because it failed, is taken back first."""
        if self.under_way():
            self.fleet.try_command("fab", *ABORT)
        if self.under_way():  # who was off is of the deployment again by now
            self.powered_on()
            self.fleet.fab(*ABORT)
        self.number += 1
        self.old, self.new = self.story.leads(), f"dbserver{self.number}"
        return "move", "dbserver", "--to", self.new, *OPTIONS

    def under_way(self) -> bool:
        return (self.fleet.directory / ".deploymachine/split.json").exists()

    def powered_on(self) -> None:
        """Every server of the deployment runs."""
        for server in self.fleet.inventory():
            if server.state != "ACTIVE":
                self.fleet.fab("openstack_boot", server.name)
            assert until(partial(self.story.up, server.name))

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
    moves.powered_on()  # an old one that went later has been set aside
    if code:
        moves.fleet.fab(*RESUME)
    moves.well(moves.new, failures=True)
    moves.fleet.fab("move", "--finish", "--yes")


def test_an_old_server_that_is_lost_after_the_switch_is_started_for_the_way_back(moves: Moves) -> None:
    words = moves.next()
    code, _ = interrupted(moves.fleet, words, begins(SETTLING), lambda: power_loss(moves.fleet, moves.old))
    if code:
        moves.fleet.fab(*RESUME)
    assert moves.old not in moves.story.kinds()
    assert f"fab openstack_boot {moves.old}" in moves.fleet.refused(*ABORT)
    moves.powered_on()
    moves.fleet.fab(*ABORT)
    moves.well(moves.old, failures=True)
    moves.forgotten()


def fails(moves: Moves, words: tuple[str, ...], marker: str, act: Callable[[], object]) -> str:
    """It ends with an error, in which the old one leads on; then it is taken back. What was printed."""
    code, told = interrupted(moves.fleet, words, marker, act)
    assert (code, "error: " in told) == (1, True)
    moves.well(moves.old)
    moves.fleet.fab(*ABORT)
    moves.forgotten()
    return told


@pytest.mark.parametrize("step", [JOINING, COPYING])
def test_servers_that_do_not_reach_each_other(moves: Moves, step: str) -> None:
    with ExitStack() as cut:
        fails(moves, moves.next(), begins(step), lambda: cut.enter_context(apart(moves.fleet, moves.old, moves.new)))


def test_a_disk_that_is_full(moves: Moves) -> None:
    small = "mkdir -p /var/lib/postgresql && mount -t tmpfs -o size=20m full /var/lib/postgresql"
    fails(moves, moves.next(), begins(JOINING), lambda: moves.fleet.sudo(moves.new, small))


def test_a_copy_that_does_not_catch_up(moves: Moves) -> None:
    words = (*moves.next(), "--patience", "20")
    with ExitStack() as until_then:
        much = partial(overwhelmed, moves.fleet, moves.old, moves.new)
        told = fails(moves, words, begins(JOINING), lambda: until_then.enter_context(much()))
    assert f"{moves.new} does not catch up with {moves.old}" in told


def test_a_copy_that_is_not_the_same(moves: Moves) -> None:
    killed(moves.fleet, moves.next(), begins(SWITCHING))
    damaged(moves.fleet, moves.new, "django_migrations")
    told = moves.fleet.refused(*RESUME)
    assert f"What {moves.new} has is not what {moves.old} has" in told
    assert "django_migrations" in told
    moves.well(moves.old)
    moves.fleet.fab("dbserver", "postgresql.follow", "--server", moves.new, "--yes")
    moves.fleet.fab(*RESUME)
    moves.well(moves.new)
    moves.fleet.fab("move", "--finish", "--yes")


def test_a_site_that_does_not_answer_after_the_switch_is_taken_back(moves: Moves) -> None:
    killed(moves.fleet, moves.next(), begins(ASKING))
    with silent(moves.fleet, FRONT):
        ended = moves.fleet.try_command("fab", *RESUME)
    assert (ended.code, f"guestbook does not answer through {FRONT}" in ended.output) == (1, True)
    moves.well(moves.old, failures=True)
    assert not moves.under_way()
    moves.forgotten()


def test_gone_back_late_what_the_log_does_not_hold_any_more_is_copied_anew(moves: Moves) -> None:
    moves.fleet.fab(*moves.next())
    forget = "SELECT pg_switch_wal();\nCHECKPOINT;\n" * 3
    moves.fleet.sudo(moves.new, f"cd /; runuser -u postgres -- psql -Xq -o /dev/null <<'END'\n{forget}END")
    moves.fleet.fab(*ABORT)
    moves.well(moves.old)
    moves.forgotten()


def test_a_new_server_that_is_lost_before_the_switch_is_in_nobodys_way_back(moves: Moves) -> None:
    words = moves.next()
    code, _ = interrupted(moves.fleet, words, begins(COPYING), lambda: power_loss(moves.fleet, moves.new))
    assert code == 1
    moves.well(moves.old)
    moves.fleet.fab(*ABORT, "--delete")
    moves.well(moves.old)
    assert moves.new not in moves.story.kinds()


def test_a_new_server_that_is_lost_after_the_switch_leads_unless_it_is_given_up_for_good(moves: Moves) -> None:
    words = moves.next()
    code, _ = interrupted(moves.fleet, words, begins(SETTLING), lambda: power_loss(moves.fleet, moves.new))
    assert code == 1
    assert f"{moves.new} does not answer" in moves.fleet.refused(*ABORT)
    moves.story.writing.nobody_knows()
    moves.fleet.fab(*ABORT, "--delete")
    moves.well(moves.old, failures=True)
    assert moves.new not in moves.story.kinds()
