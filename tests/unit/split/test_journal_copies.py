"""Another machine goes on with what it finds on the servers: which of their copies counts, and who leads by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from change_world import deployment

from deploymachine.inventory import Server
from deploymachine.split import journal as journals
from deploymachine.split.journal import BACK, DONE, Journal
from deploymachine.split.moves import moves
from deploymachine.split.shapes import split

SWITCH = "switch database box1 dbserver1"


@pytest.fixture
def begun(tmp_path: Path) -> Journal:
    here = deployment(tmp_path, box1="dbappbalancer")
    change = split(here.inventory.named("box1"), (), {}, here.inventory, here.settings)
    return replace(journals.new(change, moves(change, here), "box1"), done=("boot", "provision"))


def found(directory: Path, monkeypatch: pytest.MonkeyPatch, **notes: Journal | str | None) -> Journal | None:
    """What is found where servers have these copies."""
    kept = {name: journals.text(one) if isinstance(one, Journal) else one for name, one in notes.items()}

    def ask(server: Server, _here: Any, action: str, _note: Any) -> dict[str, Any]:
        return {"note": kept[server.name]} if action == "tell" else {}

    monkeypatch.setattr(journals, "_ask", ask)
    here = deployment(directory, **dict.fromkeys(notes, "appnode"))
    return journals.fetched(here.inventory, here)


def test_the_copy_that_was_written_last_counts(begun: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    further = begun.ended("join")
    assert found(tmp_path, monkeypatch, a1=begun, a2=further, a3=None, a4="torn {") == further
    done = replace(begun, state=DONE)
    assert found(tmp_path, monkeypatch, a1=further, a2=done) == done


def test_a_server_that_missed_the_way_back_does_not_turn_it_round(
    begun: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = replace(begun, state=BACK)
    later = back.undone("provision")
    assert found(tmp_path, monkeypatch, a1=replace(begun, state=DONE), a2=back, a3=later) == later


def test_nowhere_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(tmp_path, monkeypatch, a1=None) is None


def test_who_leads_by_it(begun: Journal) -> None:
    assert begun.leads == "box1"
    assert begun.ended(SWITCH).leads == "dbserver1"
    assert begun.ended(SWITCH).undone(SWITCH).leads == "box1"
