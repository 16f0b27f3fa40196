"""Servers that are to go: what is lost with them, who leads instead, who has to know first, and what they are asked."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from deploymachine import handover, servertypes
from deploymachine.converge import Result
from deploymachine.drain import Leaving
from deploymachine.errors import ConnectError, ConvergeError, UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.remake import loses
from deploymachine.report import LineReport
from deploymachine.scale_down import asks_twice
from deploymachine.servertypes import Deployment, attributes, broker
from tests.unit.control.test_caches import CACHES
from tests.unit.control.test_tasknodes import BROKER, NODES, programs, with_tasks

OWN_BROKER = 'OPENSTACK_SERVERS["broker"] = [("broker1", "m1.small")]'


@pytest.fixture
def fleet(deployment: Deployment) -> Deployment:
    """Two of each that hand something over, and a lognode."""
    return with_tasks(deployment, *NODES, *CACHES, Server("lognode1", "lognode", "10.0.0.71"))


def leaving(deployment: Deployment, *names: str, force: bool = False) -> Leaving:
    servers = [deployment.inventory.named(name) for name in names]
    return Leaving(servers, deployment, LineReport(io.StringIO()), 5.0, force)


def names(servers: Any) -> list[str]:
    return [server.name for server in servers]


def test_who_was_booted_with_the_oldest_leads_and_who_comes_back_takes_nothing_over(deployment: Deployment) -> None:
    def staying(*created: str) -> list[str]:
        nodes = [replace(node, created=when) for node, when in zip(NODES, created, strict=True)]
        return names(replace(deployment, inventory=Inventory(nodes)).staying("tasknode"))

    assert staying("2026-01-31T12:00:01Z", "2026-01-31T12:00:00Z") == ["tasknode1", "tasknode2"]
    assert staying("2026-02-01T09:00:00Z", "2026-01-31T12:00:00Z") == ["tasknode2", "tasknode1"]
    assert staying("", "2026-01-31T12:00:00Z") == ["tasknode1", "tasknode2"]  # SERVERS names it: it was there before


def test_those_who_leave_lead_in_nothing_and_are_let_in_as_long_as_they_work(fleet: Deployment) -> None:
    handing = replace(leaving(fleet, "tasknode1", "cachenode1"), handing=True).after
    assert set(programs(handing, "tasknode2")) - set(programs(fleet, "tasknode2")) == {"beat-blog"}
    assert "beat-blog" not in programs(handing, "tasknode1")
    environment = attributes(handing.inventory.named("appnode1"), handing)["django.sites"][0]["environment"]
    assert "@10.0.0.52:5672" in environment["BROKER_URL"]
    assert environment["CACHE_URL"].endswith("@10.0.0.42:6379/0")
    assert "10.0.0.41" not in environment["CACHE_URL"]
    assert attributes(CACHES[1], handing)["redis.replica_of"] is None
    database = attributes(handing.inventory.named("dbserver1"), handing)
    assert "10.0.0.51" in {client["address"] for client in database["postgresql.clients"]}


@pytest.mark.parametrize(
    ("going", "told"),
    [
        (["tasknode1"], [["tasknode2"], ["appnode1", "appnode2"]]),
        (["cachenode1"], [["cachenode2"], ["appnode1", "appnode2"]]),
        (["tasknode2"], []),
        (["cachenode2"], []),
        (["appnode1"], []),
        (["lognode1"], []),
    ],
)
def test_who_has_to_know_before_the_others_forget(fleet: Deployment, going: list[str], told: list[list[str]]) -> None:
    assert [names(servers) for servers in handover._takers(leaving(fleet, *going))] == told


def test_a_broker_of_its_own_hands_over_to_the_next_before_workers_leave_it(deployment: Deployment) -> None:
    second = Server("broker2", "broker", "10.0.0.62")
    found = with_tasks(deployment, *NODES, BROKER, second, more=OWN_BROKER)
    assert [names(one) for one in handover._takers(leaving(found, "broker1"))] == [
        ["broker2"],
        ["appnode1", "appnode2"],
    ]
    assert handover._takers(leaving(found, "tasknode1")) == []
    assert broker.node(replace(leaving(found, "broker1"), handing=True).after) == second


def test_what_is_lost_for_good_is_asked_twice_about(fleet: Deployment) -> None:
    everybody = list(fleet.inventory)
    lost = {server.name: " and ".join(servertypes.keeps(server, fleet)) for server in everybody}
    assert {name: what for name, what in lost.items() if what} == {
        "dbserver1": "its databases",
        "lognode1": "the logs it has taken in",
        "tasknode1": "the tasks that wait in its queues",
    }
    asked = asks_twice([fleet.inventory.named(name) for name in ("tasknode1", "tasknode2", "cachenode2")], fleet)
    assert asked["tasknode1"] == "tasknode1 is a tasknode: the tasks that wait in its queues go with it"
    assert asked["tasknode2"] == "tasknode2 is the last tasknode"
    assert "cachenode2" not in asked
    assert loses(fleet.inventory.named("lognode1"), fleet).endswith("is lost: the logs it has taken in")
    assert loses(CACHES[0], fleet).endswith("is lost: what is cached")


class There:
    """A server that answers what a test wants it to; `asked` is what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: Any) -> None:
        self.asked: list[tuple[str, str, bool]] = []
        self.answers = answers
        monkeypatch.setattr(handover.ssh, "connect", self.connect)
        monkeypatch.setattr(handover, "run", self.run)
        monkeypatch.setattr(handover, "take_over", lambda _leaving, servers: [f"told {', '.join(names(servers))}"])

    @contextmanager
    def connect(self, server: Server, *_: Any) -> Iterator[Any]:
        if server.name in self.answers.get("away", ()):
            raise ConnectError(f"{server.name} does not answer")
        yield type("Connection", (), {"server": server})

    def run(self, connection: Any, request: dict[str, Any], *_: Any, **__: Any) -> Result:
        if "broken" in self.answers:
            return Result("failed", error=self.answers["broken"])
        self.asked.append((connection.server.name, request["action"], request["queues"]))
        return Result("ok", result={"cut": [], **self.answers.get(request["action"], {})})


def test_what_only_it_did_stops_first_and_its_work_ends_when_others_have_taken_over(
    fleet: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = There(monkeypatch)
    told = handover.hand_over(leaving(fleet, "tasknode1"))
    assert there.asked == [("tasknode1", "leave", True), ("tasknode1", "finish", True)]
    assert told == ["told tasknode2", "told appnode1, appnode2"]
    there.asked.clear()
    assert handover.hand_over(leaving(fleet, "cachenode2")) == []
    assert there.asked == []


def test_tasks_that_still_wait_keep_it_unless_it_is_forced(fleet: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    There(monkeypatch, finish={"waiting": {"blog/celery": 3}})
    with pytest.raises(UsageError, match="Tasks still wait in the queues of tasknode1, so it stays") as caught:
        handover.hand_over(leaving(fleet, "tasknode1"))
    assert "blog/celery (3)" in str(caught.value)
    assert "--wait" in caught.value.hint
    notes = handover.hand_over(leaving(fleet, "tasknode1", force=True))
    assert notes[-1] == "tasknode1: tasks went with its queues: blog/celery (3)"


def test_a_dead_one_has_nothing_to_finish(fleet: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    There(monkeypatch, away=["tasknode2"])
    assert handover.hand_over(leaving(fleet, "tasknode2")) == [
        "tasknode2: what it had begun ends with it: tasknode2 does not answer"
    ]


def test_one_that_is_broken_keeps_its_tasks_unless_it_is_forced(
    fleet: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    There(monkeypatch, broken=ConvergeError("rabbitmqctl failed"))
    with pytest.raises(ConvergeError, match="rabbitmqctl failed"):
        handover.hand_over(leaving(fleet, "tasknode1"))
    notes = handover.hand_over(leaving(fleet, "tasknode1", force=True))
    assert notes[0] == "tasknode1: what it had begun ends with it: rabbitmqctl failed"


def test_a_task_that_takes_too_long_is_told_of(fleet: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    There(monkeypatch, finish={"cut": ["celery-blog-celery"]})
    assert handover.rest(leaving(fleet, "tasknode2")) == ["tasknode2: not done in time, and ended: celery-blog-celery"]
