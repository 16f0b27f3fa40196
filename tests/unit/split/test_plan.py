"""The plan as a person reads it before saying yes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from change_world import deployment

from deploymachine.split import plan
from deploymachine.split.moves import moves
from deploymachine.split.part import Size
from deploymachine.split.shapes import Change, merge, move, split
from deploymachine.split.steps import steps
from deploymachine.split.work import Work


def told(change: Change, here: Any, size: int = 0) -> str:
    nobody: Any = None
    found = tuple(moves(change, here))
    about = Work(change, found, lambda: here, nobody, nobody, nobody, nobody)
    sizes = {move: Size(size, f"{plan.written(size)} in 3 databases") for move in found}
    return "\n".join(plan.told(change, steps(about), sizes, ["cachenode"], {"dbserver1": "m1.small"}))


def test_it_says_what_becomes_of_what_how_long_and_what_one_can_go_back_to(tmp_path: Path) -> None:
    here = deployment(tmp_path, box1="dbappbalancer")
    change = split(here.inventory.named("box1"), (), {}, here.inventory, here.settings)
    text = told(change, here, 80_000_000_000)
    assert "box1: stays, an appbalancer then, and keeps the address that visitors come to" in text
    assert "dbserver1: new, a dbserver (m1.small)" in text
    assert "database: from box1 to dbserver1, 80.0 GB in 3 databases" in text
    assert "~34 min  copy, and have the copies follow: database" in text
    assert "ends: nobody keeps a cache then" in text
    assert text.index("nobody does anything but before") < text.index("dbserver1 takes over from box1")
    assert "The point of no return is `fab split --finish`" in text


def test_a_merge_says_who_goes(tmp_path: Path) -> None:
    here = deployment(tmp_path, front1="appbalancer", db1="dbserver")
    change = merge(here.inventory.servers, "", here.inventory, here.settings)
    text = told(change, here, 1000)
    assert "db1: goes; its disk is kept until --finish" in text
    assert "front1: stays, a dbappbalancer then" in text
    assert " boot " not in text
    assert "`fab merge --abort` goes back" in text


def test_logs_go_along(tmp_path: Path) -> None:
    here = deployment(tmp_path, front1="dbappbalancer", logs1="lognode")
    change = move(here.inventory.named("logs1"), "logs2", "", "", here.inventory, here.settings)
    text = told(change, here)
    assert "  logs: what logs1 has taken in goes to logs2\n" in text
    assert text.index("cook every server as it is to be") < text.index("logs2 gets what logs1 has taken in")
    assert text.index("logs2 gets what logs1 has taken in") < text.index("stop on logs1")
