"""A whole release in, the site serving it out; what does not answer is taken back at once."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, List, Optional

from release import health, hooks, layout, tasks
from release.account import Account
from release.steps import Steps
from release.supervisor import Program, children, working_directory
from release.tools import Tools, with_site
from release.values import Failure, Release, Site

Result = Dict[str, Any]
PAUSE = 0.05  # seconds between two looks at the workers
ASK_AGAIN = 5.0  # seconds; a program that is just starting does not hear the first time


@dataclass(frozen=True)
class Order:
    """One switch. back: it goes to a release that was live before. by: who gave the order ("user@host").

    message: why, in their words. word: what the audit log calls it, where it is neither a deploy nor a rollback.
    """

    site: Site
    account: Account
    timeout: float
    tools: Tools
    back: bool = False
    by: str = ""
    message: str = ""
    word: str = ""

    @property
    def program(self) -> Program:
        return Program(self.site.program, self.site.supervisor, self.account)

    @property
    def task_programs(self) -> List[Program]:
        return [Program(one["name"], self.site.supervisor, self.account) for one in self.site.programs]

    @property
    def every_program(self) -> List[Program]:
        return [self.program] * self.site.serves + self.task_programs


def running(order: Order) -> bool:
    """Whether every program of the site is there. Raises Failure where supervisor does not know one."""
    states = [program.state() for program in order.every_program]
    return all(state.running for state in states)


def serving(order: Order) -> bool:
    """Whether the programs run what `current` leads to, and the site answers."""
    site, live = order.site, layout.live(order.site)
    if live is None or not running(order) or not (layout.settled(site) or _arrived(order, live)):
        return False
    return (not site.serves or health.ask(site).healthy) and tasks.are_on(order, live)


def switch(order: Order, name: str, steps: Steps) -> Result:
    """Make that release the live one. Raises Failure after the one before was put back; its result says so."""
    site = order.site
    release = layout.ready(site, name)
    before = layout.live(site)
    running(order)  # a supervisor that does not answer must be known before anything is moved
    if before == name and serving(order):
        with steps.step("switch") as step:
            step.detail = f"{name} is live"
        if not layout.settled(site):  # a run that was cut off came that far, and could not write it down any more
            _remember(order, release, before)
        return {"current": name, "previous": before, "changed": False}
    inside = with_site(order.tools, site, site.venvs / release.venv)
    # A way back is open whatever a hook says.
    (hooks.run_anyway if order.back else hooks.run)(site, inside, release, "before_switch", steps, back=order.back)
    try:
        _go(order, release, before, steps)
    except Failure as failure:
        failure.result.update(_put_back(order, release, steps))
        with suppress(OSError):  # a full disk must not hide why the release failed
            layout.log(site, _entry(order, release, before, "failed", steps.hidden(failure.why)))
        raise
    _remember(order, release, before)
    hooks.run_anyway(site, inside, release, "after_switch", steps, back=order.back)
    return {"current": name, "previous": before, "changed": True}


def _remember(order: Order, release: Release, before: Optional[str]) -> None:
    layout.went_live(order.site, release.name, back=order.back)
    layout.settle(order.site)
    layout.log(order.site, _entry(order, release, before, "ok", ""))


def rollback(order: Order, to: Optional[str], steps: Steps) -> Result:
    """Go back to the release that was live before, or to the named one."""
    name = to or layout.predecessor(order.site)
    if name is None:
        raise Failure(
            f"There is no release of {order.site.name} to go back to", why="nothing else was live here before"
        )
    return switch(order, name, steps)


def _go(order: Order, release: Release, before: Optional[str], steps: Steps) -> None:
    site = order.site
    with steps.step("switch") as step:
        layout.unsettle(site, release.name)
        layout.point(site, release.name)
        step.changed(f"{before or 'nothing'} -> {release.name}")
    if site.serves:
        with steps.step("restart") as step:
            step.changed(_take_over(order, release.name))
        with steps.step("health") as step:
            step.detail = _healthy(order, release.name)
    if site.programs:
        with steps.step("tasks") as step:
            step.changed(tasks.take_over(order, release))


def _take_over(order: Order, name: str) -> str:
    """Have the program run that release: new workers at the same open socket where it runs, else a start."""
    program = order.program
    state = program.state()
    if state.state != "RUNNING":
        program.restart()
        return "started"
    old = children(state.pid)
    deadline = time.monotonic() + order.timeout
    asked = float("-inf")
    while state.running:
        now = children(state.pid)
        taken = _working_in(order, now - old, name)
        if taken and not old & now:  # as long as an old worker is there, a healthy answer may be the old code's
            return "reloaded"
        if time.monotonic() >= deadline:
            raise _not_taken(order, name)
        if not taken and time.monotonic() - asked > ASK_AGAIN:
            program.reload()
            asked = time.monotonic()
        time.sleep(PAUSE)
        state = program.state()
    program.restart()
    return "restarted"


def _arrived(order: Order, name: str) -> bool:
    """Whether all workers stand in that release, whoever restarted them."""
    if not order.site.serves:
        return True
    workers = children(order.program.state().pid)
    return bool(workers) and all(_working_in(order, frozenset({pid}), name) for pid in workers)


def _working_in(order: Order, pids: FrozenSet[int], name: str) -> bool:
    """Whether one of the processes stands in that release: gunicorn enters it before it imports the site."""
    path = order.site.release(name).resolve()
    with order.account.lifted():
        places = [working_directory(pid) for pid in pids]
    return any(place is not None and (place == path or path in place.parents) for place in places)


def _not_taken(order: Order, name: str) -> Failure:
    return Failure(
        f"The workers of {order.site.name} did not take release {name} within {order.timeout:g} s",
        where=order.site.program,
        why="the new code does not come to its end while it starts, or a request of the old one takes longer",
        hint=f"if it needs the time, raise SITES[{order.site.name!r}]['health_timeout'] in settings.py",
        output=order.program.log_lines(),
    )


def _healthy(order: Order, name: str) -> str:
    program, site = order.program, order.site

    def dead() -> Optional[str]:
        state = program.state()
        return f"{program.name} is {state.state} {state.why}".strip() if state.dead else None

    answer = health.wait(site, order.timeout, dead)
    if not answer.healthy:
        raise Failure(
            f"Release {name} of {site.name} does not answer as it should",
            where=f"http://{site.bind}{site.health_path}",
            why=answer.why,
            hint=f"its last words are below; `sudo supervisorctl tail -9000 {program.name}` on the server shows more",
            output=program.log_lines(),
        )
    return answer.why


def _put_back(order: Order, failed: Release, steps: Steps) -> Result:
    """Return to the last release that was seen serving; on a first release to nothing at all."""
    site = order.site
    safe = next((name for name in reversed(layout.history(site)) if name != failed.name), None)
    try:
        with steps.step("put back") as step:
            layout.point(site, safe)
            _return_to(order, safe)
            answer = health.wait(site, order.timeout, lambda: None) if safe and site.serves else None
            layout.settle(site)
            step.changed(f"{failed.name} -> {safe or 'nothing'}")
    except Failure as failure:
        return {"put_back": safe, "put_back_healthy": False, "put_back_why": failure.why or failure.what}
    return {"put_back": safe, "put_back_healthy": answer is None or answer.healthy}


def _return_to(order: Order, safe: Optional[str]) -> None:
    """Gently where the program lets us, else at the price of a moment's pause."""
    if safe is None:
        for program in order.every_program:
            program.stop()
        return
    if order.site.serves:
        try:
            _take_over(order, safe)
        except Failure:
            order.program.restart()
    for program in order.task_programs:
        program.restart()


def _entry(order: Order, release: Release, before: Optional[str], state: str, why: str) -> Dict[str, Any]:
    return {
        "action": order.word or ("rollback" if order.back else "deploy"),
        "state": state,
        "release": release.name,
        "sha": release.sha,
        "ref": release.ref,
        "from": before,
        "by": order.by,
        **({"why": why} if why else {}),
        **({"message": order.message} if order.message else {}),
    }
