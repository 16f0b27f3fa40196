"""In which order servers are cooked when some of them are launched."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest

from deploymachine import launch
from deploymachine.inventory import Inventory, Server
from deploymachine.report import LineReport
from deploymachine.servertypes import Deployment

BOX, OTHER = Server("box1", "dbappbalancer", "10.0.0.1"), Server("db1", "dbserver", "10.0.0.2")


@pytest.fixture
def did(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done in which order."""
    found: list[str] = []

    def cook(servers: Any, *_: Any, phase: str = "cook", **__: Any) -> None:
        found.append(f"{phase} {','.join(server.name for server in servers)}")

    monkeypatch.setattr(launch, "cook", cook)
    monkeypatch.setattr(launch, "deploy", lambda nodes, *_: found.append(f"deploy {','.join(n.name for n in nodes)}"))
    return found


def launched(deployment: Deployment, *names: str, leads: str) -> None:
    here = replace(deployment, inventory=Inventory([BOX, OTHER]), leads=leads)
    launch.launch([here.inventory.named(name) for name in names], here, LineReport(io.StringIO()))


def test_who_lets_a_server_in_is_cooked_before_it(deployment: Deployment, did: list[str]) -> None:
    launched(deployment, "box1", leads="db1")
    assert did == ["let in db1", "cook box1", "deploy box1"]


def test_who_copies_its_databases_is_cooked_after_it(deployment: Deployment, did: list[str]) -> None:
    launched(deployment, "box1", leads="box1")
    assert did == ["cook box1", "let in db1", "deploy box1"]


def test_launched_together_all_are_cooked_at_once(deployment: Deployment, did: list[str]) -> None:
    launched(deployment, "box1", "db1", leads="box1")
    assert did == ["cook box1,db1", "deploy box1"]
