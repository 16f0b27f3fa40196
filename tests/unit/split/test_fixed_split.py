"""Servers that are on no cloud are split into others that stand in SERVERS already: nothing is booted or deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from change_world import SETTINGS

from deploymachine.errors import UsageError
from deploymachine.inventory import Inventory, fixed
from deploymachine.secrets import Secrets
from deploymachine.servertypes import Deployment, broker
from deploymachine.settings import load
from deploymachine.split import journal as journals
from deploymachine.split import plan
from deploymachine.split.between import between
from deploymachine.split.moves import Move, moves
from deploymachine.split.settings_diff import apply, changed
from deploymachine.split.shapes import Change, reversed_, split
from deploymachine.split.states import AFTER, BEFORE, DURING, deployment_in
from deploymachine.split.steps import steps
from deploymachine.split.work import Work

FIXED = """SERVERS = {
    "dbappbalancer": [{"name": "box1", "ip": "10.0.0.1"}],
    "dbserver": [{"name": "db9", "ip": "10.0.0.9", "port": 2200}],  # the new one
}
"""


@pytest.fixture
def here(tmp_path: Path) -> Deployment:
    (tmp_path / "settings.py").write_text(SETTINGS.format(servers="") + FIXED)
    settings = load(tmp_path)
    return Deployment(settings, Inventory(fixed(settings)), Secrets(tmp_path / "secrets.json"))


def change_of(here: Deployment, **names: str) -> Change:
    return split(here.inventory.named("box1"), (), names, here.inventory, here.settings)


def types(here: Deployment) -> dict[str, str]:
    return {server.name: server.type for server in here.inventory}


def test_the_plan_boots_nothing(here: Deployment) -> None:
    change = change_of(here, dbserver="db9")
    nobody: Any = None
    about = Work(change, tuple(moves(change, here)), lambda: here, nobody, nobody, nobody, nobody)
    assert about.moves == (Move("database", "box1", "db9"),)
    every = steps(about)
    assert [step.name for step in every][:3] == ["provision", "join", "copy"]
    text = "\n".join(plan.told(change, every, {}, [], {}))
    assert "  db9: new, a dbserver\n" in text
    assert "box1: stays, an appbalancer then" in text


def test_the_new_one_takes_part_only_once_it_was_begun(here: Deployment) -> None:
    change = change_of(here, dbserver="db9")
    wanted = {
        BEFORE: {"box1": "dbappbalancer"},
        DURING: {"box1": "dbappbalancer", "db9": "dbserver"},
        AFTER: {"box1": "appbalancer", "db9": "dbserver"},
    }
    assert {stage: types(deployment_in(stage, change, here)) for stage in wanted} == wanted
    begun = journals.new(change, moves(change, here), "box1")
    journals.write(begun.begun("provision"), here.settings)
    assert types(between(here)) == wanted[BEFORE]
    journals.write(begun.ended("provision").begun("join"), here.settings)
    assert types(between(here)) == wanted[DURING]


def test_settings_say_the_same_in_between(tmp_path: Path) -> None:
    more = 'SERVERS = {"tasknode": [{"name": "t1", "ip": "10.0.0.1"}], "broker": [{"name": "b1", "ip": "10.0.0.2"}]}\n'
    front = 'SERVERS["dbappbalancer"] = [{"name": "box1", "ip": "10.0.0.3"}]\n'
    (tmp_path / "settings.py").write_text(SETTINGS.format(servers="") + more + front)
    settings = load(tmp_path)
    there = Deployment(settings, Inventory(fixed(settings)), Secrets(tmp_path / "secrets.json"))
    old = there.inventory.named("t1")
    change = split(old, ["tasknode", "broker"], {"broker": "b1"}, there.inventory, settings)
    nodes = [broker.node(deployment_in(stage, change, there)) for stage in (BEFORE, DURING, AFTER)]
    assert [node.name if node else None for node in nodes] == ["t1", "t1", "b1"]


def test_settings_are_written_and_the_way_back_keeps_the_new_one_there(here: Deployment, tmp_path: Path) -> None:
    change, path = change_of(here, dbserver="db9"), tmp_path / "settings.py"
    apply(path, changed(path.read_text(), change, here.settings), change, here.settings)
    now = load(tmp_path)
    assert {one.name: one.type for one in fixed(now)} == {"box1": "appbalancer", "db9": "dbserver"}
    back = reversed_(change)
    apply(path, changed(path.read_text(), back, now), back, now)
    again = load(tmp_path)
    assert {one.name: (one.type, one.port) for one in fixed(again)} == {
        "box1": ("dbappbalancer", 0),
        "db9": ("dbserver", 2200),
    }
    assert "# the new one" in path.read_text()


def test_which_one_is_meant_has_to_be_said(here: Deployment) -> None:
    with pytest.raises(UsageError, match="Which server is to be the dbserver") as refused:
        change_of(here)
    assert "`--names dbserver=db9`" in str(refused.value)
    with pytest.raises(UsageError, match="box1 is not a dbserver in SERVERS"):
        change_of(here, dbserver="box1")
