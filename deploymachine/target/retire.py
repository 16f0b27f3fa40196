"""A server that is to go in; out it comes with nothing begun: what others take over has stopped, what it did is done.

request: "action", and "seconds", how long what was begun may take.
    leave   CRON's timers and the beats stop, and a command of CRON that runs comes to its end
    finish  where "queues", RabbitMQ's run empty; then Celery's workers finish their tasks, and end. What still waits
            when the time is over keeps the workers at work, unless "force"
"""

from __future__ import annotations

import glob
import json
import os
import subprocess
import time
from typing import Any, Callable, Dict, List, Mapping

from release.account import Account
from release.steps import Steps
from release.supervisor import Program, programs
from release.values import Failure

SUPERVISOR = "/run/supervisor.sock"
ROOT = Account("root", 0, 0, drop=False)
PAUSE = 0.5  # seconds between two looks
HINT = "mend it there; or say --force, and what the server has begun or holds is lost"
UP = ("active", "activating", "reloading", "deactivating")
UNITS, CONFIGURATION = "/etc/systemd/system", "/etc/rabbitmq/rabbitmq.conf"
Event = Dict[str, Any]


def main(request: Event, emit: Callable[[Event], None]) -> int:
    """Do what request["action"] says. Returns the exit code."""
    steps = Steps(emit)
    deadline = time.monotonic() + float(request["seconds"])
    try:
        result = ACTIONS[request["action"]](request, deadline, steps)
    except Failure as failure:
        steps.failure(failure)
        steps.done("failed", failure.result)
        return 1
    steps.done("ok", result)
    return 0


def _leave(_request: Event, deadline: float, steps: Steps) -> Event:
    with steps.step("stop CRON") as step:
        timers = _units("cron-*.timer")
        if timers:
            _run("systemctl", "disable", "--now", *timers)
            step.changed(f"{len(timers)} timers")
        _until(lambda: not _units("cron-*.service"), deadline)
    cut = _ended("beat-", "stop beats", steps)
    return {"cut": [*_units("cron-*.service"), *cut]}


def _finish(request: Event, deadline: float, steps: Steps) -> Event:
    waiting = _empty(request, deadline, steps)["waiting"] if request["queues"] else {}
    if waiting and not request["force"]:
        return {"waiting": waiting, "cut": []}
    return {"waiting": waiting, "cut": _ended("celery-", "end workers", steps)}


def _empty(_request: Event, deadline: float, steps: Steps) -> Event:
    with steps.step("queues run empty") as step:
        _until(lambda: not _waiting(), deadline)
        waiting = _waiting()
        step.detail = ", ".join(f"{name}: {count}" for name, count in waiting.items())
    return {"waiting": waiting, "cut": []}


def _look(_request: Event, _deadline: float, _steps: Steps) -> Event:
    there = os.path.exists(CONFIGURATION) and _units("rabbitmq-server.service")
    return {"waiting": _waiting() if there else {}, "cut": []}


def _work(_request: Event, _deadline: float, steps: Steps) -> Event:
    with steps.step("work") as step:
        timers = sorted(os.path.basename(path) for path in glob.glob(f"{UNITS}/cron-*.timer"))
        if timers:
            _run("systemctl", "enable", "--now", *timers)
        programs = [one for prefix in ("beat-", "celery-") for one in _programs(prefix) if one.state().dead]
        for program in programs:
            program.start()
        step.detail = f"{len(timers)} timers, {len(programs)} programs"
    return {"waiting": {}, "cut": []}


def _ended(prefix: str, name: str, steps: Steps) -> List[str]:
    """Have those programs end by themselves; the names of those that supervisor had to kill when time was up."""
    with steps.step(name) as step:
        running = [one for one in _programs(prefix) if not one.state().dead]
        for program in running:
            program.stop(wait=False)
        while any(not program.state().dead for program in running):
            time.sleep(PAUSE)
        if running:
            step.changed(f"{len(running)} programs")
        return [program.name for program in running if program.was_killed()]


def _programs(prefix: str) -> List[Program]:
    if not os.path.exists(SUPERVISOR):
        return []
    return [Program(name, SUPERVISOR, ROOT) for name in programs(SUPERVISOR, ROOT) if name.startswith(prefix)]


def _waiting() -> Dict[str, int]:
    """ "vhost/queue" -> how many messages it holds, those that a worker has taken and not done yet included."""
    found = {}
    for vhost in _rabbitmq("list_vhosts", "name"):
        name = vhost["name"]
        for queue in _rabbitmq("list_queues", "--vhost", name, "name", "messages"):
            if queue["messages"]:
                found[f"{name}/{queue['name']}"] = queue["messages"]
    return found


def _rabbitmq(*words: str) -> List[Event]:
    told = _run("rabbitmqctl", "--quiet", "--formatter", "json", *words)
    return json.loads(told[told.index("[") :]) if "[" in told else []


def _units(pattern: str) -> List[str]:
    """The units of that pattern that do something, or wait for their time."""
    told = _run("systemctl", "list-units", "--plain", "--no-legend", "--no-pager", f"--state={','.join(UP)}", pattern)
    return [line.split()[0] for line in told.splitlines() if line.strip()]


def _until(done: Callable[[], bool], deadline: float) -> None:
    while not done() and time.monotonic() < deadline:
        time.sleep(PAUSE)


def _run(*command: str) -> str:
    """What a command printed. Raises Failure with its last words."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, cwd="/", text=True, check=False, **streams)  # type: ignore[call-overload]
    if done.returncode:
        why, last = f"exit code {done.returncode}", done.stdout.strip().splitlines()[-5:]
        raise Failure(f"{command[0]} failed", why=why, command=" ".join(command), output=last, hint=HINT)
    return str(done.stdout)


ACTIONS: Mapping[str, Callable[[Event, float, Steps], Event]] = {
    "leave": _leave,
    "finish": _finish,
    "look": _look,
    "empty": _empty,
    "work": _work,
}
