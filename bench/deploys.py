"""Two appnodes behind a loadbalancer in; the seconds of a deploy of changed code out, and of the way back, by phase.

As `main_job.py` it works in a temporary directory with a home, a deployment and a devcloud of its own, and removes all
of it. `bench/README.rst` says how to read what it prints.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from main_job import LAUNCHES, Timed, World, carried_out, keep, parser_of, told, world

AIM = 6.0  # seconds for a deploy of changed code to two appnodes
START, TOTAL = "fab itself, before the first word", "all of it"
Seconds = dict[str, list[float]]
Event = dict[str, Any]


def run(rounds: int) -> dict[str, Seconds]:
    """Command -> phase -> its seconds in every round."""
    with world(cold=False) as here:
        for line in ("devcloud_up", "openstack_bootem", "root provision", *LAUNCHES):
            told(here.fab(*line.split()))
        return measure(here, rounds, ("appnode",))


def measure(here: World, rounds: int, who: Sequence[str]) -> dict[str, Seconds]:
    """On a deployment that serves: change the code, deploy, roll back; again and again."""
    found: dict[str, Seconds] = {"deploy": {}, "rollback": {}}
    for number in range(rounds):
        _change(here.deployment / "guestbook", number)
        for action in found:
            for phase, seconds in phases(told(here.fab(*who, action))).items():
                found[action].setdefault(phase, []).append(seconds)
    return found


def _change(site: Path, number: int) -> None:
    """A commit of code only, as most are."""
    (site / "changed.py").write_text(f"NUMBER = {number}\n", encoding="utf-8")
    author = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for words in (("add", "."), (*author, "commit", "-q", "--allow-empty", "-m", f"Change {number}")):
        subprocess.run(["git", "-C", str(site), *words], check=True)


def phases(timed: Timed) -> dict[str, float]:
    """Phase -> its seconds, from when the first server begins it until the next phase; the steps of a build besides."""
    marks: list[tuple[float, str]] = []
    for at, event in timed.events:
        name = str(event.get("phase", "")).partition(": ")[2]
        if event["event"] == "phase" and (not marks or name != marks[-1][1]):
            marks.append((at, name))
    found: dict[str, float] = {START: marks[0][0]}
    ends = [*(at for at, _ in marks[1:]), timed.seconds]
    for (at, name), end in zip(marks, ends, strict=True):
        found[name] = found.get(name, 0.0) + end - at
    return {**found, **_steps(timed.events), TOTAL: timed.seconds}


def _steps(events: Sequence[tuple[float, Event]]) -> dict[str, float]:
    """Step -> the seconds it took on the slowest server."""
    found: dict[str, list[float]] = {}
    for _, event in events:
        if event["event"] == "step-done":
            found.setdefault(f"  {event['step']}", []).append(event["ms"] / 1000)
    return {name: max(each) for name, each in found.items()}


def table(found: Mapping[str, Seconds]) -> str:
    """A row a phase: medians, and their spread."""
    lines = []
    for action, seconds in found.items():
        lines += ["", f"{f'fab appnode {action}':<40} {'median':>7} {'spread':>13}"]
        lines += [f"{name:<40} {_cell(each)}" for name, each in seconds.items()]
    return "\n".join([*lines, "", "Below its phase's seconds, indented: a step's on the slowest server."])


def _cell(seconds: Sequence[float]) -> str:
    spread = f"{min(seconds):.2f} - {max(seconds):.2f}" if len(seconds) > 1 else ""
    return f"{statistics.median(seconds):>7.2f} {spread:>13}".rstrip()


def main() -> int:
    """Exit code 0; 1 where a step failed or the aim was missed."""
    options = parser_of("Time deploys of changed code to two appnodes, phase by phase.", 5).parse_args()
    found = carried_out(lambda: run(options.rounds))
    print(table(found))
    keep(options.json, found)
    return int(statistics.median(found["deploy"][TOTAL]) > AIM)


if __name__ == "__main__":
    sys.exit(main())
