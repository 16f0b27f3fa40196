"""A broker of its own takes over while tasks are handed in, and gives back what it took: every task is done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fleet import own_deployment
from machine_world import until
from split_world import OPTIONS, Story, signed
from test_splitting import slow

pytestmark = [pytest.mark.devcloud, slow]
FRONT, TASKS, BROKER = "box1", "tasknode1", "broker1"
SETTINGS = f"""
OPENSTACK_SERVERS = {{"dbappbalancer": [("{FRONT}", "m1.small")], "tasknode": [("{TASKS}", "m1.small")]}}
"""
LINES = ("openstack_bootem", "root provision", "dbappbalancer launch", "tasknode launch")
RATE = 10.0  # signatures a second, each with a task
REFUSED = "grep -ac 'the broker is away' /var/log/supervisor/site-guestbook.log || true"
COUNT = "SELECT count(*) FROM entries_entry WHERE words IS NULL"
LEFT = f"cd /; runuser -u postgres -- psql -XqAt -d guestbook -c '{COUNT}'"


@pytest.fixture(scope="module")
def story(devcloud) -> Iterator[Story]:
    home = devcloud.state.parent / "splitting-tasks"
    clouds = devcloud.directory / "clouds.yaml"
    with own_deployment(clouds, home, FRONT, SETTINGS, LINES) as fleet, signed(fleet, RATE) as told:
        yield told


def assert_all_done(story: Story) -> None:
    """No task could not be handed in, and none is left."""
    assert story.fleet.sudo(FRONT, REFUSED).strip() == "0"
    assert until(lambda: story.fleet.sudo(FRONT, LEFT).strip() == "0", 120)


def brokers(story: Story) -> list[str]:
    look = "systemctl is-active rabbitmq-server || true"
    there = [server.name for server in story.fleet.inventory() if server.name in (TASKS, BROKER)]
    return [name for name in there if story.fleet.sudo(name, look).strip() == "active"]


def test_a_broker_of_its_own_takes_over(story: Story) -> None:
    told, seen = story.does("split", "tasknode", "--into", "tasknode,broker", *OPTIONS)
    print(seen)
    assert f"tasks: 0 are left on {TASKS}" in told
    assert brokers(story) == [BROKER]
    assert_all_done(story)


def test_the_way_back(story: Story) -> None:
    _, seen = story.does("split", "--abort", "--delete", *OPTIONS)
    print(seen)
    assert brokers(story) == [TASKS]
    assert_all_done(story)
    story.assert_settled()
