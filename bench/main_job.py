"""The main job on devcloud in, a table of its steps' seconds and of where they go out; everything made is removed.

It works in a temporary directory with a home, a deployment and a devcloud of its own, so it disturbs nothing that runs
here. Linux and root, as devcloud itself. `bench/README.rst` says how to read what it prints.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[1]
AIMS = {  # seconds, on two cores
    "image build": 90,
    "openstack_bootem": 15,
    "root provision": 60,
    "all launches": 150,
    "everything kokki": 5,
}
LAUNCHES = ("dbserver launch", "loadbalancer launch", "appnode launch")
STEPS = ("openstack_bootem", "openstack_list", "root provision", *LAUNCHES, "everything kokki")
AGAIN = ("openstack_bootem", "root provision", *LAUNCHES, "everything kokki")
LAST_LINES = 15
AGAIN_MARK = "again: "
WORTH_TELLING = 20  # ms
Event = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """One line of output. at: seconds since the command began."""

    at: float
    text: str


@dataclass(frozen=True)
class Timed:
    """One command that ran. title: its words; `again` marks the second time."""

    title: str
    seconds: float
    lines: tuple[Line, ...]

    def again(self) -> Timed:
        return replace(self, title=AGAIN_MARK + self.title)

    @property
    def plain(self) -> str:
        return self.title.removeprefix(AGAIN_MARK)

    @cached_property
    def events(self) -> list[tuple[float, Event]]:
        """The lines that are events, with the second they came at."""
        found = ((line.at, _parsed(line.text)) for line in self.lines)
        return [(at, event) for at, event in found if event is not None]

    @property
    def changed(self) -> list[str]:
        """What was changed, as `server: Type[name]`."""
        return [f"{e['server']}: {_name(e)}" for _, e in self.events if _is_done(e) and e.get("state") == "changed"]


class StepError(Exception):
    """A step of the job failed; what it said last."""


class World:
    """A home, a deployment and a devcloud of our own below one directory."""

    def __init__(self, directory: Path, *, cold: bool) -> None:
        self.directory = directory
        self.deployment = directory / "mysite"
        self.environment = _environment(directory, cold=cold)

    def make(self) -> None:
        """What comes before the job: an ssh key, the deployment, the example site as a git repository."""
        (self.directory / "home" / ".ssh").mkdir(mode=0o700, parents=True)
        key = self.directory / "home" / ".ssh" / "id_ed25519"
        self._prepare("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        self._prepare("deploymachine", "init", "--devcloud", str(self.deployment))
        site = self.deployment / "guestbook"
        shutil.copytree(
            ROOT / "examples" / "guestbook", site, ignore=shutil.ignore_patterns("*.sqlite3", "__pycache__")
        )
        author = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
        for words in (("init", "-q", "-b", "main"), ("add", "."), (*author, "commit", "-q", "-m", "The guestbook")):
            self._prepare("git", "-C", str(site), *words)

    def fab(self, *words: str) -> Timed:
        """Run one `fab` command, timed. Raises StepError with its last lines when it fails."""
        began = time.monotonic()
        process = subprocess.Popen(
            [_tool("fab"), *words],
            cwd=self.deployment,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None  # noqa: S101 (it is a pipe)
        with process, _ended_with_us(process):
            lines = [Line(time.monotonic() - began, text.rstrip("\n")) for text in process.stdout]
        timed = Timed(" ".join(words), time.monotonic() - began, tuple(lines))
        if process.returncode:
            told = "\n".join(line.text for line in lines[-LAST_LINES:])
            raise StepError(f"`fab {timed.title}` failed with exit code {process.returncode}:\n{told}")
        return timed

    def _prepare(self, *argv: str) -> None:
        argv = (_tool(argv[0]), *argv[1:])
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StepError(f"{' '.join(argv)} failed: {done.stderr.strip()}")


@contextmanager
def _ended_with_us(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        process.terminate()
        raise


def _environment(directory: Path, *, cold: bool) -> dict[str, str]:
    """This process's environment without what would lead elsewhere."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OS_", "DEPLOYMACHINE_", "SSH_AUTH_SOCK"))}
    images = str(directory / "images") if cold else os.environ.get("DEPLOYMACHINE_DEVCLOUD_IMAGES", "")
    return {
        **kept,
        **({"DEPLOYMACHINE_DEVCLOUD_IMAGES": images} if images else {}),
        "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME", str(Path.home() / ".config")),  # pip's own settings hold
        "HOME": str(directory / "home"),
        "DEPLOYMACHINE_DEVCLOUD_DIR": str(directory / "devcloud"),
        "DEPLOYMACHINE_OUTPUT": "json",
        "PYTHONUNBUFFERED": "1",  # lines are timed as they come
    }


def _tool(name: str) -> str:
    """A console script of the Python that runs this, else what PATH finds."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else name


@contextmanager
def world(*, cold: bool) -> Iterator[World]:
    """A World that leaves nothing behind, however it ends."""
    # Not /tmp: where that is kept in memory, or on an overlay, machines can't have their disks there.
    directory = Path(tempfile.mkdtemp(prefix="deploymachine-bench-", dir="/var/tmp"))
    made = World(directory, cold=cold)
    try:
        made.make()
        yield made
    finally:
        if made.deployment.is_dir():
            made.fab("devcloud_down")
        shutil.rmtree(directory)


def run_round(*, cold: bool) -> list[Timed]:
    """The whole job once, then all of it again: the times of every step."""
    with world(cold=cold) as here:
        up = told(here.fab("devcloud_up"))
        first = [told(here.fab(*step.split())) for step in STEPS]
        again = [told(here.fab(*step.split()).again()) for step in AGAIN]
        image = [built] if (built := _image_build(up)) is not None else []
        return [*image, up, *first, _sum("all launches", first), *again, _sum("all launches", again).again()]


def told(timed: Timed) -> Timed:
    """The same, after a line about it on stderr."""
    print(f"  fab {timed.title:<40} {timed.seconds:6.1f} s", file=sys.stderr, flush=True)
    return timed


def _image_build(up: Timed) -> Timed | None:
    """The part of `fab devcloud_up` that built the image; None where one was there."""
    moments = {word: line.at for line in up.lines for word in ("building", "starting") if line.text.startswith(word)}
    return Timed("image build", moments["starting"] - moments["building"], ()) if len(moments) == 2 else None


def _sum(title: str, steps: Sequence[Timed]) -> Timed:
    return Timed(title, sum(step.seconds for step in steps if step.plain in LAUNCHES), ())


def machine() -> str:
    """What this was measured on, as far as it tells itself."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = sys.version.split()[0]
    return f"{os.cpu_count()} cores, {memory:.0f} GB, Python {python}, load {os.getloadavg()[0]:.1f} at the start"


def medians(rounds: Sequence[Sequence[Timed]]) -> dict[str, list[float]]:
    """Step -> its seconds in every round, in the order of the steps."""
    seconds: dict[str, list[float]] = {}
    for steps in rounds:
        for step in steps:
            seconds.setdefault(step.title, []).append(step.seconds)
    return seconds


def table(steps: Sequence[Timed], seconds: Mapping[str, Sequence[float]], aims: Mapping[str, float]) -> str:
    """A row a step: the median of its seconds, their spread where there were several rounds, its aim, its changes."""
    lines = ["", f"{'step':<28} {'seconds':>8} {'spread':>13} {'aim':>5} {'changes':>8}"]
    for step in steps:
        took = seconds[step.title]
        spread = f"{min(took):.1f} - {max(took):.1f}" if len(took) > 1 else ""
        aim = aims.get(step.title)
        mark = "" if aim is None or statistics.median(took) <= aim else "  MISSED"
        changes = str(len(step.changed)) if step.events else ""
        shown = f"{step.title:<28} {statistics.median(took):>8.1f} {spread:>13} {aim or '':>5} {changes:>8}{mark}"
        lines.append(shown.rstrip())
    return "\n".join(lines)


def breakdown(steps: Sequence[Timed], *, slowest: int) -> str:
    """For each step with servers: before its first event, and each server's phases and slowest resources."""
    return "\n".join(line for step in steps if step.events for line in _of_step(step, slowest))


def _of_step(step: Timed, slowest: int) -> Iterator[str]:
    first, last = step.events[0][0], step.events[-1][0]
    yield f"\nfab {step.plain}" + (", again" if step.title != step.plain else "")
    yield f"  {step.seconds:.1f} s: {first:.1f} until the first event, {step.seconds - last:.1f} after the last"
    if step.title != step.plain and step.changed:
        yield f"  changed although nothing was to do: {', '.join(step.changed)}"
    for server in dict.fromkeys(event["server"] for _, event in step.events):
        mine = [(at, event) for at, event in step.events if event["server"] == server]
        if phases := ", ".join(f"{name} {seconds:.1f}" for name, seconds in _phases(mine)):
            yield f"  {server:<16}{phases}"
            yield from _slowest(mine, slowest)


def _phases(events: Sequence[tuple[float, Event]]) -> list[tuple[str, float]]:
    """(phase, its seconds) in order; a server that was left alone has none."""
    marks = [(event.get("phase", ""), at) for at, event in events if event["event"] in {"phase", "end"}]
    return [(name, end - at) for (name, at), (_, end) in pairwise(marks) if name]


def _slowest(events: Sequence[tuple[float, Event]], count: int) -> Iterator[str]:
    phase, done = "", []
    for _, event in events:
        phase = event.get("phase", phase)
        if _is_done(event) and event.get("ms", 0) >= WORTH_TELLING:
            done.append((event["ms"] / 1000, event["state"], f"{phase}: {_name(event)}"))
    for seconds, state, name in sorted(done, key=lambda row: -row[0])[:count]:
        yield f"    {seconds:7.2f} s  {state:<8} {name}"


def _is_done(event: Event) -> bool:
    return event["event"] in {"resource-done", "step-done"}


def _name(event: Event) -> str:
    return f"{event['type']}[{event['name']}]" if "type" in event else f"step {event['step']}"


def _parsed(text: str) -> Event | None:
    try:
        event = json.loads(text)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event and "server" in event else None


def main() -> int:
    """Exit code 0; 1 where a step failed or missed its aim."""
    options = _parser().parse_args()
    rounds = carried_out(lambda: [run_round(cold=options.cold) for _ in range(options.rounds)])
    seconds = medians(rounds)
    print(table(rounds[-1], seconds, AIMS))
    print(breakdown(rounds[-1], slowest=options.slowest))
    keep(options.json, seconds)
    return int(any(statistics.median(seconds.get(step, [0])) > aim for step, aim in AIMS.items()))


def keep(path: Path | None, found: object) -> None:
    """Write what was found there as JSON, if anywhere."""
    if path is not None:
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def parser_of(what: str, rounds: int) -> argparse.ArgumentParser:
    """Of the options that all of these benchmarks have. rounds: what is done unless said otherwise."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--rounds", type=int, default=rounds, metavar="N", help="do it N times, show medians")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's seconds there")
    return parser


def carried_out(work: Callable[[], T]) -> T:
    """What `work` returns, after a line about this machine. Exits: 1 where a step failed, 130 where it was stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the finally blocks run
    print(machine(), flush=True)
    try:
        return work()
    except StepError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("Stopped; everything that was made is removed.", file=sys.stderr)
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("Time the main job on machines made here, and show where the time goes.", 1)
    parser.add_argument("--cold", action="store_true", help="build the image, too, in a cache of its own")
    parser.add_argument("--slowest", type=int, default=10, metavar="N", help="how many resources a server shows")
    return parser


if __name__ == "__main__":
    sys.exit(main())
