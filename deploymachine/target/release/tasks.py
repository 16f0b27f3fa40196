"""A release in, every program that does the site's tasks working on it out: ended warmly, back anew, asked by name."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Dict, List, Set

from release.supervisor import Program, State, working_directory
from release.tools import with_site
from release.values import Failure, Release

if TYPE_CHECKING:
    from release.switch import Order

PAUSE = 0.1  # seconds between two looks
PING = 2  # seconds a worker has to answer


def are_on(order: Order, name: str) -> bool:
    """Whether every program stands in that release."""
    return all(_stands_in(order, program.state(), name) for program in order.task_programs)


def take_over(order: Order, release: Release) -> str:
    """Have all programs go on with that release, and its workers answer. Raises Failure with a program's last words.

    A worker that is told to end finishes the tasks it has begun; supervisor starts it anew, where `current` leads to.
    """
    deadline = time.monotonic() + order.timeout
    for program in order.task_programs:
        state = program.state()
        if state.state != "RUNNING":
            program.restart()
        elif not _stands_in(order, state, release.name):
            program.end()
    _wait(order, release.name, deadline)
    nodes = [one["node"] for one in order.site.programs if one.get("node")]
    _answered(order, release, nodes, deadline)
    return f"{len(order.site.programs)} programs" + (f", {len(nodes)} answered" if nodes else "")


def _wait(order: Order, name: str, deadline: float) -> None:
    """Until every program stands in the release. One that came that far and is gone again has failed."""
    arrived: Set[str] = set()
    waiting = order.task_programs
    while waiting:
        for program in list(waiting):
            state = program.state()
            if state.state in ("FATAL", "BACKOFF") or (state.dead and program.name in arrived):
                raise _failed(order, name, program, f"it is {state.state} {state.why}".strip())
            if state.state in ("EXITED", "STOPPED"):
                program.start()  # what supervisor would do within a second
            if _stands_in(order, state, name):
                arrived.add(program.name)
                if state.state == "RUNNING":
                    waiting.remove(program)
        if waiting and time.monotonic() >= deadline:
            why = f"it has not come to it within {order.timeout:g} s; a task that takes longer holds it up"
            raise _failed(order, name, waiting[0], why)
        time.sleep(PAUSE if waiting else 0)


def _answered(order: Order, release: Release, nodes: List[str], deadline: float) -> None:
    """Until every worker has answered a question that came by way of the broker."""
    silent = set(nodes)
    why = ""
    while silent:
        try:
            silent -= set(_ping(order, release, sorted(silent)))
        except Failure as failure:
            why = failure.why
        for program in order.task_programs:
            if program.state().dead:
                raise _failed(order, release.name, program, "it ended by itself")
        if silent and time.monotonic() >= deadline:
            program = next(p for p in order.task_programs if _node(order, p) in silent)
            told = f"{_node(order, program)} does not answer within {order.timeout:g} s"
            raise _failed(order, release.name, program, f"{told}: {why}".rstrip(": "))


def _ping(order: Order, release: Release, nodes: List[str]) -> Dict[str, object]:
    """The workers among `nodes` that answer. Raises Failure where none does, or Celery itself fails."""
    site = order.site
    venv = site.venvs / release.venv
    argv = [str(venv / "bin" / "celery"), "--app", site.celery_app, "inspect", "ping", "--json"]
    argv += ["--timeout", str(PING), "--destination", ",".join(nodes)]
    inside = with_site(order.tools, site, venv)
    said = inside.run(argv, cwd=site.project(release.name), what="The workers can't be asked", timeout=60)
    found: Dict[str, object] = json.loads(said[said.index("{") :]) if "{" in said else {}
    return found


def _stands_in(order: Order, state: State, name: str) -> bool:
    with order.account.lifted():
        place = working_directory(state.pid) if state.pid else None
    path = order.site.release(name).resolve()
    return place is not None and (place == path or path in place.parents)


def _node(order: Order, program: Program) -> str:
    return str(next(one.get("node", "") for one in order.site.programs if one["name"] == program.name))


def _failed(order: Order, name: str, program: Program, why: str) -> Failure:
    return Failure(
        f"{program.name} does not work with release {name} of {order.site.name}",
        where=program.name,
        why=why,
        hint=f"its last words are below; `sudo supervisorctl tail -9000 {program.name}` on the server shows more",
        output=program.log_lines(),
    )
