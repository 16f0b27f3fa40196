"""Tasks on their way: who stops first, who is told when, what a fault puts back."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest

from deploymachine.errors import ConvergeError
from deploymachine.inventory import Server
from deploymachine.report import LineReport
from deploymachine.servertypes import Deployment
from deploymachine.split import queues
from deploymachine.split.part import MEDIA, QUEUES, Moving
from tests.unit.control.test_tasknodes import BROKER, NODES, with_tasks

FIRST, SECOND = NODES
OWN_BROKER = 'OPENSTACK_SERVERS["broker"] = [("broker1", "m1.small")]'


class World:
    """`did`: what was done in which order. fails: what is refused. left: tasks that never end. cut: of CRON."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails: str = "") -> None:
        self.did: list[str] = []
        self.fails, self.left, self.cut = fails, dict[str, int](), list[str]()
        self.gone: set[str] = set()
        monkeypatch.setattr(queues, "reached", lambda server, _: server.name not in self.gone)
        monkeypatch.setattr(queues, "_each", self.each)
        monkeypatch.setattr(queues, "cook", self.cook)
        monkeypatch.setattr(queues, "_look", lambda server, _: self.left)
        monkeypatch.setattr(queues, "_wait_for_the_last", lambda node, _: self.do(f"wait {node.name}"))

    def do(self, what: str) -> None:
        self.did.append(what)
        if self.fails and what.startswith(self.fails):
            self.fails = ""
            raise ConvergeError("refused")

    def each(self, servers: Any, action: str, _: Moving) -> list[dict[str, Any]]:
        self.do(f"{action} {','.join(server.name for server in servers)}")
        return [{"waiting": self.left, "cut": self.cut} for _ in servers]

    def cook(self, servers: Any, _: Deployment, *__: Any, recipes: Any = (), **___: Any) -> None:
        self.do(f"{','.join(recipes) or 'cook'} {','.join(server.name for server in servers)}")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def moving(deployment: Deployment, old: str, new: str) -> Moving:
    named = deployment.inventory.named
    kinds = [kind for kind in ("broker", "tasknode", "appnode") if named(new) in deployment.inventory.serving(kind)]
    between = replace(deployment, behind=frozenset((new, kind) for kind in kinds))
    return Moving(QUEUES, named(old), named(new), between, LineReport(io.StringIO()), 0.2)


@pytest.fixture
def tasks(deployment: Deployment) -> Deployment:
    return with_tasks(deployment, *NODES)


APPNODES = "appnode1,appnode2"


def test_a_tasknode_hands_over_to_another(tasks: Deployment, world: World) -> None:
    told = queues.switch(moving(tasks, "tasknode1", "tasknode2"))
    assert world.did == [
        "leave tasknode1",
        "cook tasknode2",
        f"django {APPNODES}",
        "wait tasknode1",
        "empty tasknode1",
        "celery tasknode1",
        "work tasknode2,tasknode1",
    ]
    assert told.proof == ("tasks at set times are begun by tasknode2 alone", "tasks: 0 are left on tasknode1")


def test_cron_goes_from_an_appnode_to_the_first_tasknode(deployment: Deployment, world: World) -> None:
    found = with_tasks(deployment, FIRST)
    queues.switch(moving(found, "appnode1", "tasknode1"))
    assert world.did == ["leave appnode1", "cook tasknode1", "django appnode1", "work tasknode1"]


def test_a_broker_of_its_own_takes_over_and_the_tasknode_works_on(deployment: Deployment, world: World) -> None:
    found = with_tasks(deployment, FIRST, BROKER, more=OWN_BROKER)
    queues.switch(moving(found, "tasknode1", "broker1"))
    before = ["leave tasknode1", "cook broker1", f"django {APPNODES}", "wait tasknode1", "empty tasknode1"]
    assert world.did == [*before, "celery tasknode1", "work broker1,tasknode1"]


def test_the_way_back_to_the_only_tasknode_leaves_its_workers_at_the_old_queues_until_these_are_empty(
    deployment: Deployment, world: World
) -> None:
    found = with_tasks(deployment, FIRST, BROKER, more=OWN_BROKER)
    queues.switch(replace(moving(found, "tasknode1", "broker1"), deployment=found).reverse)
    before = ["leave tasknode1", "rabbitmq tasknode1", f"django {APPNODES}", "wait broker1", "empty broker1"]
    assert world.did == [*before, "cook tasknode1", "work tasknode1"]


def test_two_brokers_of_their_own(deployment: Deployment, world: World) -> None:
    found = with_tasks(deployment, FIRST, BROKER, Server("broker2", "broker", "10.0.0.62"), more=OWN_BROKER)
    queues.switch(moving(found, "broker1", "broker2"))
    assert world.did[:2] == ["leave tasknode1", "cook broker2"]
    assert world.did[-2:] == ["celery tasknode1", "work broker2,tasknode1"]


@pytest.mark.parametrize("fails", ["leave", "cook", "wait", "empty"])
def test_a_fault_puts_everything_back(tasks: Deployment, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    world = World(monkeypatch, fails)
    with pytest.raises(ConvergeError, match="refused"):
        queues.switch(moving(tasks, "tasknode1", "tasknode2"))
    assert world.did[-3:] == ["cook tasknode2", f"django {APPNODES}", "work tasknode1"]


def test_tasks_that_do_not_end_keep_the_old_one_at_work(tasks: Deployment, world: World) -> None:
    world.left = {"blog/celery": 3}
    with pytest.raises(ConvergeError) as caught:
        queues.switch(moving(tasks, "tasknode1", "tasknode2"))
    assert caught.value.why == "after 0 s there were blog/celery (3)"
    assert world.did[-1] == "work tasknode1"


def test_a_command_that_does_not_end_is_not_begun_twice(tasks: Deployment, world: World) -> None:
    world.cut = ["cron-blog-clear.service"]
    with pytest.raises(ConvergeError) as caught:
        queues.switch(moving(tasks, "tasknode1", "tasknode2"))
    assert caught.value.why == "after 0 s there were cron-blog-clear.service"
    assert "work tasknode2" not in " ".join(world.did)


def test_what_there_is_to_move(tasks: Deployment, world: World) -> None:
    world.left = {"blog/celery": 3, "blog/mail.slow": 1}
    assert queues.measure(moving(tasks, "tasknode1", "tasknode2")).note == "4 tasks that wait in 2 queues"
    assert queues.measure(moving(tasks, "appnode1", "tasknode1")).note == "what begins tasks at set times"


def test_the_way_back_is_a_switch_the_other_way(tasks: Deployment, world: World) -> None:
    there = moving(tasks, "tasknode1", "tasknode2")
    queues.back(replace(there, deployment=there.handed))
    assert world.did[:2] == ["leave tasknode2", "cook tasknode1"]


def test_one_that_is_gone_does_not_keep_the_old_one_from_its_work(tasks: Deployment, world: World) -> None:
    there = moving(tasks, "tasknode1", "tasknode2")
    world.gone = {"tasknode2"}
    queues.back(replace(there, deployment=there.handed))
    expected = [f"django {APPNODES}", "celery tasknode1", f"work tasknode1,{APPNODES}"]
    assert world.did == ["cook tasknode1", *expected]


def test_cron_goes_along_with_the_visitors_from_appnode_to_appnode(deployment: Deployment, world: World) -> None:
    there = replace(moving(with_tasks(deployment), "appnode1", "appnode2"), part=MEDIA)
    queues.follow(there)
    assert world.did == ["leave appnode1", "django appnode1", "django appnode2"]
    world.did.clear()
    queues.follow(replace(there, deployment=there.handed))
    assert world.did == []


def test_cron_that_a_tasknode_begins_stays_there(tasks: Deployment, world: World) -> None:
    queues.follow(replace(moving(tasks, "appnode1", "appnode2"), part=MEDIA))
    assert world.did == []


def test_cron_that_does_not_end_goes_on_where_it_is(deployment: Deployment, world: World) -> None:
    world.cut = ["cron-blog-clear.service"]
    with pytest.raises(ConvergeError, match="still at work"):
        queues.follow(replace(moving(with_tasks(deployment), "appnode1", "appnode2"), part=MEDIA))
    assert world.did == ["leave appnode1", "work appnode1"]
