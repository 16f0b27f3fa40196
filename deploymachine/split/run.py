"""A Change in, the servers as they are afterwards out: step after step, each kept in the journal before and after.

Cut off anywhere, `resume` goes on at the first step that is not done, and `abort` takes back what was begun, the last
first. Only `finish` removes what one could go back to.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from deploymachine.errors import DeployMachineError, UsageError
from deploymachine.hostkeys import locked
from deploymachine.report import Report
from deploymachine.settings import Settings
from deploymachine.split import journal as journals
from deploymachine.split import work as doing
from deploymachine.split.journal import BACK, DONE, GOING, Journal
from deploymachine.split.steps import PROVE, Step, steps
from deploymachine.split.work import Work

Reported = Callable[[], AbstractContextManager[Report]]


class Run:
    """One run of a change. about: its Work, whose report is another for each step. reported: makes those."""

    def __init__(self, about: Work, journal: Journal, settings: Settings, reported: Reported) -> None:
        self.about, self.journal, self.settings, self.reported = about, journal, settings, reported

    def go(self) -> None:
        """Do what is not done. Raises what went wrong; where a proof failed, everything was taken back before."""
        with locked(self.settings.state / "change.lock"):
            every = steps(self.about)
            for number, step in enumerate(every, 1):
                if step.name in self.journal.done:
                    continue
                self._keep(self.journal.begun(step.name))
                self._headline(number, len(every), step.told)
                try:
                    self._act(step.do)
                except DeployMachineError as error:
                    self._failed(step, error)
                    raise
                self._keep(self.journal.ended(step.name))
            self._keep(replace(self.journal, state=DONE))

    def abort(self) -> None:
        """Take back what was done or begun, the last first; then nothing is under way any more."""
        with locked(self.settings.state / "change.lock"):
            self._abort()

    def finish(self) -> None:
        """Remove what one could go back to. Raises UsageError where the change is not done."""
        if self.journal.state != DONE:
            raise UsageError(
                f"The {self.journal.change.verb} is not done, so there is nothing to finish",
                why=f"it was begun {self.journal.id}",
                hint=f"`{self.journal.command} --resume` goes on, `{self.journal.command} --abort` goes back",
            )
        with locked(self.settings.state / "change.lock"):
            self._headline(1, 1, "the old data go")
            self._act(doing.finish)
            self._forget()

    def _abort(self) -> None:
        self._keep(replace(self.journal, state=BACK))
        begun = {*self.journal.done, self.journal.now}
        todo = [step for step in reversed(steps(self.about)) if step.name in begun]
        for number, step in enumerate(todo, 1):
            self._headline(number, len(todo), f"take back: {step.told}")
            self._act(step.undo)
            self._keep(self.journal.undone(step.name))
        self._forget()

    def _act(self, act: Callable[[Work], None]) -> None:
        with self.reported() as report:
            act(replace(self.about, report=report, switched=self.journal.switched))

    def _failed(self, step: Step, error: DeployMachineError) -> None:
        """What can't be proven is taken back at once; where else something fails, all goes on as in between."""
        self._keep(replace(self.journal, said=error.what))
        if step.name == PROVE and self.journal.moves:
            self.about.say(f"error: {error}\nSo everything goes back.")
            self._abort()
            return
        command = self.journal.command
        more = f"nothing is lost: `{command} --resume` goes on from here, `{command} --abort` goes back"
        error.hint = f"{error.hint}; {more}" if error.hint else more

    def _keep(self, journal: Journal) -> None:
        self.journal = journal
        journals.write(journal, self.settings)
        self._spread(journal)

    def _forget(self) -> None:
        """The copies first: what is left here is found again by the next --abort or --finish."""
        self._spread(None)
        journals.remove(self.settings)

    def _spread(self, journal: Journal | None) -> None:
        here = self.about.look()
        journals.spread(journal, self.about.named(self.journal.change.before, here), here)

    def _headline(self, number: int, count: int, told: str) -> None:
        self.about.say(f"{number}/{count} {told}")


def begin(about: Work, settings: Settings) -> Journal:
    """The journal of a change that begins now. Raises UsageError where another is under way, also from elsewhere."""
    refuse_second(settings)
    here = about.look()
    old = about.named(about.change.before, here)
    if (other := journals.fetched(old, here)) is not None:
        raise UsageError(
            f"{', '.join(other.change.before)}: another machine has begun a {other.change.verb} of it",
            why=f"begun {other.id}, {_how_far(other)}",
            hint=f"go on there; or here, with its journal, by `{other.command} --resume`, or back by --abort",
        )
    return journals.new(about.change, about.moves, about.primary)


def refuse_second(settings: Settings) -> None:
    """Raises UsageError where a change is under way here, or done and not finished."""
    if (there := journals.read(settings)) is not None:
        what, why, hint = under_way(there)
        raise UsageError(what, why=why, hint=hint)


def under_way(there: Journal) -> tuple[str, str, str]:
    """What is under way, since when and how it went, and what to do about it, in words."""
    command = there.command
    what_next = {
        DONE: f"`{command} --finish` removes the old data, `{command} --abort` goes back",
        BACK: f"`{command} --abort` goes on back",
        GOING: f"`{command} --resume` goes on, `{command} --abort` goes back",
    }
    return (
        f"A {there.change.verb} of {', '.join(there.change.before)} is {_how_far(there)}",
        f"begun {there.id}" + (f"; {there.said}" if there.said else ""),
        what_next[there.state],
    )


def _how_far(there: Journal) -> str:
    done = {DONE: "done, but not finished", BACK: "on its way back", GOING: "under way"}
    return done[there.state]
