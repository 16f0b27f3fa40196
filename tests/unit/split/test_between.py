"""What every task sees while a change is under way: the deployment of that moment, whatever settings.py says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from change_world import deployment
from test_states import moved_appnode, upstreams

from deploymachine.cloud import Cloud
from deploymachine.split import journal as journals
from deploymachine.split.between import between, stage
from deploymachine.split.journal import BACK, DONE, GOING
from deploymachine.split.moves import moves
from deploymachine.split.states import AFTER, BEFORE, DURING
from deploymachine.tasks import _deployment

DB, ALL = "switch database box1 db1", ("boot", "provision", "join", "copy")


@pytest.mark.parametrize(
    ("state", "done", "now", "expected"),
    [
        (GOING, (), "boot", BEFORE),
        (GOING, ("boot",), "provision", DURING),
        (GOING, ALL, DB, DURING),
        (GOING, (*ALL, DB, "prove"), "retype", DURING),
        (GOING, (*ALL, DB, "prove", "retype"), "settle", AFTER),
        (DONE, (*ALL, DB, "prove", "retype", "settle", "leave", "check"), "", AFTER),
        (BACK, (*ALL, DB, "prove", "retype", "settle"), "", DURING),
        (BACK, ALL, "", DURING),
        (BACK, ("boot", "provision"), "", BEFORE),
    ],
)
def test_how_far_it_is(tmp_path: Path, state: str, done: tuple[str, ...], now: str, expected: str) -> None:
    change, here = moved_appnode(tmp_path)
    journal = journals.new(change, moves(change, here), "box1")
    assert stage(replace(journal, state=state, done=done, now=now)) == expected


def test_visitors_stay_where_they_are_also_when_others_cook(tmp_path: Path) -> None:
    change, here = moved_appnode(tmp_path)
    journal = replace(journals.new(change, moves(change, here), ""), done=("boot", "provision", "join"))
    assert between(here) is here
    assert upstreams(here) == ["10.0.0.9:8000", "10.0.0.1:8000"]
    journals.write(journal, here.settings)
    assert upstreams(between(here)) == ["10.0.0.1:8000"]
    journals.write(replace(journal, state=DONE), here.settings)
    assert upstreams(between(here)) == ["10.0.0.9:8000"]
    assert between(here).inventory.named("box1").type == "loadbalancer"


def test_nothing_is_looked_up_where_nothing_is_under_way(tmp_path: Path) -> None:
    here = deployment(tmp_path, box1="dbappbalancer")
    assert between(here) is here


def test_what_is_booted_meanwhile_closes_no_door_of_the_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, here = moved_appnode(tmp_path)
    monkeypatch.setattr(_deployment, "settings", lambda: here.settings)
    monkeypatch.setattr(_deployment, "plain_deployment", lambda: here)
    monkeypatch.setattr(_deployment, "cloud", lambda: Cloud(here.settings, None))
    before = {*_deployment.cloud_now().settings.server_names()}
    journal = replace(journals.new(change, moves(change, here), ""), done=("boot", "provision", "join"))
    journals.write(journal, here.settings)
    assert {*_deployment.cloud_now().settings.server_names()} - before == {*change.joining}
