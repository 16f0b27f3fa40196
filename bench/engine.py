"""The engine alone, on one machine where everything is right already: a table of its milliseconds and memory out.

    python bench/engine.py [--runs 20] [--image debian-13]

It makes a devcloud and a machine of its own and takes both away. `bench/engine.rst` says what the rows mean.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from deploymachine import converge  # noqa: E402 - found only now, also from elsewhere
from deploymachine.bundle import bundle  # noqa: E402
from deploymachine.cookbook_test import machine, make_settings  # noqa: E402
from deploymachine.report import LineReport  # noqa: E402
from deploymachine.runlist import RunList  # noqa: E402
from deploymachine.ssh import Connection  # noqa: E402
from deploymachine.tasks.cookbooks import devcloud  # noqa: E402

WORKLOAD = HERE / "workload"
REQUEST = "/root/request"
WARM_UP = 3
BEFORE = ("base.apt", "base.packages", "base.pip")


@dataclass(frozen=True)
class Row:
    """One figure over all runs. unit: ms or MB. aim: None where there is none."""

    title: str
    values: tuple[float, ...]
    unit: str = "ms"
    aim: float | None = None

    def __str__(self) -> str:
        median = statistics.median(self.values)
        aim = "" if self.aim is None else f"{self.aim:.0f} {'ok' if median <= self.aim else 'MISSED'}"
        low, high = min(self.values), max(self.values)
        return f"{self.title:<44} {median:>8.1f} {low:>8.1f} {high:>8.1f} {self.unit}  {aim}"


def main(words: Sequence[str] | None = None) -> int:
    """Print the table. Gives 1 where an aim is missed, else 0."""
    options = _options(words)
    with tempfile.TemporaryDirectory(prefix="bench-engine-", dir="/var/tmp") as state:
        os.environ.setdefault("DEPLOYMACHINE_DEVCLOUD_DIR", f"{state}/devcloud")
        with devcloud() as place, machine(make_settings(place), options.image, _silent()) as connection:
            rows = measure(Bench(connection, options.runs))
    print(f"\n{'':<44} {'median':>8} {'least':>8} {'most':>8}     aim")
    for row in rows:
        print(row)
    return int(any(row.aim is not None and statistics.median(row.values) > row.aim for row in rows))


def measure(bench: Bench) -> list[Row]:
    """Bring the machine to the two states, then look at them again and again."""
    python = bench.timed_python()
    bench.converge(*BEFORE)
    count = bench.converge("app")
    app = bench.runs_of("app")
    files_count = bench.converge("files")
    files = bench.runs_of("files")
    ours = tuple(run["ms"] for run in app)
    engine = tuple(run["run"]["ms"] for run in app)
    before = tuple(whole - inside for whole, inside in zip(ours, engine, strict=True))
    return [
        Row("python3 -I -S -c pass", python),
        Row(f"{count} resources, all right: whole process", ours, aim=120),
        Row("  of it Python's start and imports", before, aim=60),
        Row("  of it declaring and looking", engine),
        Row("  CPU time of the process", tuple(run["cpu"] for run in app)),
        Row("  peak memory", tuple(run["memory"] for run in app), "MB", 40),
        Row(f"{files_count} files and directories: whole process", tuple(run["ms"] for run in files), aim=250),
        Row("  peak memory", tuple(run["memory"] for run in files), "MB", 40),
    ]


class Bench:
    """Requests sent to one machine, first over the connection, then timed on the machine itself."""

    def __init__(self, connection: Connection, runs: int) -> None:
        self.connection, self.runs = connection, runs
        self.paths = (WORKLOAD,)
        self._put("/root/engine_timing.py", (HERE / "engine_timing.py").read_bytes())

    def converge(self, *recipes: str) -> int:
        """Cook until nothing is left to do; how many resources there are."""
        events: list[dict[str, Any]] = []
        for _ in range(2):
            events.clear()
            request = self._request(recipes)
            result = converge.run(
                self.connection, request, lambda _server, event: events.append(event), cookbook_paths=self.paths
            )
            if result.error is not None:
                raise SystemExit(str(result.error))
        if result.changed:
            raise SystemExit(f"{', '.join(recipes)}: the second run changed {result.changed} resources")
        return int(next(event["count"] for event in events if event["event"] == "run-begun"))

    def runs_of(self, recipe: str) -> list[dict[str, Any]]:
        """Every timed run of a recipe, the first few left out: they warm the page cache."""
        # Exactly what the controller would write to the engine's standard input, from a file on the server.
        opening = converge.opening(bundle(self.paths), self._request((recipe,)), b"", None)
        self._put(REQUEST, opening)
        words = ["python3", "/root/engine_timing.py", converge.LOADER, REQUEST, str(self.runs + WARM_UP)]
        lines = self.connection.run(words).output.splitlines()[WARM_UP:]
        runs = [json.loads(line) for line in lines]
        if not runs or any(run["code"] or run["run"].get("totals", {}).get("changed") for run in runs):
            raise SystemExit(f"{recipe}: a timed run failed or changed something: {lines[:1]}")
        return runs

    def timed_python(self) -> tuple[float, ...]:
        """Milliseconds of a python3 that does nothing, started in the same way."""
        self._put(REQUEST, b"")
        words = ["python3", "/root/engine_timing.py", "print()", REQUEST, str(self.runs + WARM_UP)]
        lines = self.connection.run(words).output.splitlines()[WARM_UP:]
        return tuple(json.loads(line)["ms"] for line in lines)

    def _request(self, recipes: tuple[str, ...]) -> dict[str, Any]:
        return RunList("bench", ("bench",), recipes, {}, self.paths).request()

    def _put(self, path: str, data: bytes) -> None:
        channel = self.connection.open(f"cat > {shlex.quote(path)}")
        channel.sendall(data)
        channel.shutdown_write()
        if channel.recv_exit_status():
            raise SystemExit(f"{path} could not be written")


def _silent() -> LineReport:
    return LineReport(io.StringIO())


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The engine's own time on a machine where all is right already.")
    parser.add_argument("--runs", type=int, default=20, help="timed runs of each (20)")
    parser.add_argument("--image", default="debian-13", help="of the machine: debian-13 or debian-12")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
