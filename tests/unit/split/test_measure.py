"""How much of a database there is to move, and a server that has none yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from change_world import deployment

from deploymachine.errors import UsageError
from deploymachine.split import database
from deploymachine.split.part import DATABASE, Moving, Size


def measured(directory: Path, monkeypatch: pytest.MonkeyPatch, **told: Any) -> Size:
    here = deployment(directory, box1="dbappbalancer", db1="dbserver")
    monkeypatch.setattr(database.databases, "look", lambda *_: {"version": "17", **told})
    nobody: Any = None
    return database.measure(Moving(DATABASE, here.inventory.named("box1"), here.inventory.named("db1"), here, nobody))


def test_what_a_primary_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = measured(tmp_path, monkeypatch, role="primary", size=34_000_000)
    assert told == Size(34_000_000, "34 MB of databases (PostgreSQL 17)")


@pytest.mark.parametrize("role", ["stopped", "replica", "retired"])
def test_a_server_that_does_not_lead_has_nothing_to_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    with pytest.raises(UsageError, match=f"its PostgreSQL is {role}") as refused:
        measured(tmp_path, monkeypatch, role=role)
    assert "`fab server:box1 launch` first" in str(refused.value)
