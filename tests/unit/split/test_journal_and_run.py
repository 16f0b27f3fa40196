"""A change that is cut off anywhere goes on, or back; what the journal holds is enough for both."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from change_world import deployment

from deploymachine.errors import ConvergeError, UsageError
from deploymachine.report import Report
from deploymachine.servertypes import Deployment
from deploymachine.split import journal as journals
from deploymachine.split import run, steps
from deploymachine.split.journal import BACK, DONE, Journal
from deploymachine.split.moves import moves
from deploymachine.split.run import Run, begin
from deploymachine.split.shapes import split
from deploymachine.split.steps import Step
from deploymachine.split.work import Work


class Killed(BaseException):
    """What kill -9 is to a step: nothing after it happens."""


class World:
    """Steps that only note that they were done; `trip` says what happens at one of them."""

    def __init__(self, directory: Path) -> None:
        self.here = deployment(directory, box1="dbappbalancer")
        old = self.here.inventory.named("box1")
        self.change = split(old, (), {}, self.here.inventory, self.here.settings)
        self.happened: list[str] = []
        self.trip: dict[str, BaseException] = {}

    @property
    def about(self) -> Work:
        looked: Callable[[], Deployment] = lambda: self.here  # noqa: E731 (a value of the work, as in the task)
        found = tuple(moves(self.change, self.here))
        nobody: Any = None
        return Work(self.change, found, looked, nobody, Report(StringIO()), nobody, self.happened.append, "box1")

    def steps(self, about: Work) -> list[Step]:
        return [replace(one, do=self._act(one.name), undo=self._act(f"undo {one.name}")) for one in REAL(about)]

    def _act(self, name: str) -> Callable[[Work], None]:
        def act(_work: Work) -> None:
            if name in self.trip:
                raise self.trip.pop(name)
            self.happened.append(name)

        return act

    def run(self, journal: Journal | None = None) -> Run:
        journal = journal or journals.read(self.here.settings) or begin(self.about, self.here.settings)
        return Run(self.about, journal, self.here.settings, lambda: nullcontext(Report(StringIO())))

    def done(self) -> list[str]:
        return [word for word in self.happened if word in NAMES or word.removeprefix("undo ") in NAMES]


REAL = steps.steps
SWITCH = "switch database box1 dbserver1"
NAMES = ["boot", "provision", "join", "copy", SWITCH, "prove", "retype", "settle", "leave", "check"]
UNDOING = [f"undo {name}" for name in reversed(NAMES)]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    found = World(tmp_path)
    monkeypatch.setattr(run, "steps", found.steps)
    monkeypatch.setattr(journals, "spread", lambda *_: None)
    monkeypatch.setattr(journals, "fetched", lambda *_: None)
    return found


def test_all_steps_are_done_once_in_their_order_and_all_taken_back_in_reverse(world: World) -> None:
    world.run().go()
    assert world.done() == NAMES
    there = journals.read(world.here.settings)
    assert there is not None
    assert (there.state, there.switched) == (DONE, ("database",))
    world.happened.clear()
    world.run().abort()
    assert world.done() == UNDOING
    assert journals.read(world.here.settings) is None


@pytest.mark.parametrize("name", NAMES)
def test_killed_in_any_step_it_goes_on_there(world: World, name: str) -> None:
    world.trip[name] = Killed()
    with pytest.raises(Killed):
        world.run().go()
    world.run().go()
    assert world.done() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_killed_in_any_step_and_again_on_the_way_back_all_that_was_begun_is_taken_back(world: World, name: str) -> None:
    world.trip[name] = Killed()
    world.trip["undo boot"] = Killed()
    with pytest.raises(Killed):
        world.run().go()
    world.happened.clear()
    with pytest.raises(Killed):
        world.run().abort()
    there = journals.read(world.here.settings)
    assert there is not None
    assert there.state == BACK
    world.run().abort()
    assert world.done() == UNDOING[UNDOING.index(f"undo {name}") :]


def test_a_failure_leaves_all_as_it_is_and_says_how_to_go_on(world: World) -> None:
    world.trip[SWITCH] = ConvergeError("The copy is not the same", hint="look at it")
    with pytest.raises(ConvergeError) as error:
        world.run().go()
    assert "`fab split --resume` goes on from here, `fab split --abort` goes back" in str(error.value)
    assert world.done() == NAMES[:4]
    with pytest.raises(UsageError, match="is under way") as refused:
        begin(world.about, world.here.settings)
    assert "The copy is not the same" in str(refused.value)


def test_what_can_not_be_proven_goes_back_by_itself(world: World) -> None:
    world.trip["prove"] = ConvergeError("blog does not answer")
    with pytest.raises(ConvergeError, match="blog does not answer"):
        world.run().go()
    assert world.done() == NAMES[:5] + UNDOING[4:]
    assert journals.read(world.here.settings) is None


def test_what_is_not_done_is_not_finished(world: World) -> None:
    world.trip["settle"] = Killed()
    with pytest.raises(Killed):
        world.run().go()
    with pytest.raises(UsageError, match="nothing to finish"):
        world.run().finish()


def test_one_that_another_machine_has_begun_is_not_begun_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(journals.new(world.change, (), "box1"), id="2026-01-31T12:00:00Z ada@laptop")
    monkeypatch.setattr(journals, "fetched", lambda *_: other)
    with pytest.raises(UsageError, match="another machine has begun a split") as error:
        begin(world.about, world.here.settings)
    assert "ada@laptop" in str(error.value)


def test_the_journal_is_a_file_of_ours_alone_and_comes_back_the_same(world: World) -> None:
    journal = journals.new(world.change, moves(world.change, world.here), "box1").begun("boot").ended("boot")
    journals.write(journal, world.here.settings)
    path = world.here.settings.state / "split.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert journals.read(world.here.settings) == journal
    assert [one.name for one in path.parent.iterdir()] == ["split.json"]


def test_a_journal_that_can_not_be_read_is_told_with_its_file(world: World) -> None:
    journals.write(journals.new(world.change, (), ""), world.here.settings)
    path = world.here.settings.state / "split.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 9'))
    with pytest.raises(UsageError, match="another version") as error:
        journals.read(world.here.settings)
    assert str(path) in str(error.value)
