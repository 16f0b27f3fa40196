"""Waiting until no process of the sites uses what has moved: who is asked for what, and who is named in the end."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from change_world import deployment

from deploymachine.converge import Result
from deploymachine.errors import ConvergeError
from deploymachine.inventory import Server
from deploymachine.report import LineReport
from deploymachine.split import asking
from deploymachine.split.part import QUEUES, Moving


@pytest.fixture
def moving(tmp_path: Path) -> Moving:
    here = deployment(tmp_path, front1="appbalancer", db1="dbserver", tasks1="tasknode", broker1="broker")
    named = here.inventory.named
    return Moving(QUEUES, named("tasks1"), named("broker1"), here, LineReport(io.StringIO()))


class Asked:
    """Servers that answer who holds something. holders: name -> programs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **holders: list[str]) -> None:
        self.requests: dict[str, dict[str, Any]] = {}
        self.holders = holders
        monkeypatch.setattr(asking, "done", self.answer)

    def answer(self, server: Server, request: dict[str, Any], _: Moving) -> Result:
        self.requests[server.name] = request
        programs = self.holders.get(server.name, [])
        return Result("ok", result={"holders": [{"pid": 7, "program": one} for one in programs]})


def wait(moving: Moving, *names: str) -> None:
    nodes = [moving.deployment.inventory.named(name) for name in names]
    asking.wait_for_the_last(["@10.0.0.3:5672/"], nodes, moving, seconds=9.0, use="hand tasks in at tasks1")


def test_each_server_is_asked_to_wait_until_nobody_has_it(moving: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    wait(moving, "front1", "tasks1")
    assert set(asked.requests) == {"front1", "tasks1"}
    assert asked.requests["front1"] == {
        "command": "credentials",
        "action": "holders",
        "patience": 9.0,
        "values": ["@10.0.0.3:5672/"],
    }


def test_who_does_not_end_is_named_with_the_server(moving: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    Asked(monkeypatch, tasks1=["python", "gunicorn"])
    with pytest.raises(ConvergeError) as caught:
        wait(moving, "front1", "tasks1")
    assert caught.value.what == "Some processes of the sites still hand tasks in at tasks1"
    assert caught.value.why == "2 did not end within 9 s of being told of broker1"
    assert list(caught.value.evidence) == ["tasks1: python", "tasks1: gunicorn"]


def test_where_nobody_runs_sites_nobody_is_waited_for(moving: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    wait(moving)
    assert asked.requests == {}
