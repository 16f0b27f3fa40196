"""How long `fab --list` takes: an empty fabfile and a whole deployment in, medians and their ratio out.

python bench/fab_list.py [--rounds 15] [--json FILE]    exit code 1 when the ratio misses its aim

It is one process that only computes, so its CPU time is what a quiet machine's clock would show; that is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
FAB = Path(sys.executable).parent / "fab"
EMPTY = "from fabric import task\n\n\n@task\ndef nothing(c):\n    pass\n"
AIM = 1.2


def deployment(place: Path) -> Path:
    """What `deploymachine init` makes, with the example's settings."""
    place.mkdir()
    for name in ("fabfile.py", "fabric.yaml"):
        shutil.copy(REPOSITORY / name, place / name)
    for name in ("settings.py", "kokki-config.yaml"):
        shutil.copy(REPOSITORY / f"{name}.dist", place / name)
    return place


def empty(place: Path) -> Path:
    place.mkdir()
    (place / "fabfile.py").write_text(EMPTY)
    return place


def seconds(directory: Path) -> tuple[float, float]:
    """CPU time and wall time of one run."""
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([FAB, "--list"], cwd=directory, stdout=subprocess.DEVNULL, check=True)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, time.perf_counter() - began


def measured(rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds of each round, one after the other in turn, so that a busy moment meets both; a first warms caches."""
    with tempfile.TemporaryDirectory(prefix="fab-list-") as home:
        os.environ["HOME"] = home
        # Compiled as pip does while it installs: fab itself keeps nothing that it compiled.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(home) / "compiled")
        ours = [REPOSITORY / "deploymachine", REPOSITORY / "contrib"]
        subprocess.run([sys.executable, "-m", "compileall", "-q", *ours], check=False)  # recipes are for other Pythons
        places = {"empty": empty(Path(home) / "empty"), "deploymachine": deployment(Path(home) / "deployment")}
        turns = [{name: seconds(place) for name, place in places.items()} for _ in range(rounds + 1)][1:]
    return {name: [turn[name] for turn in turns] for name in places}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measured(options.rounds)
    medians = {name: statistics.median(cpu for cpu, _ in times) for name, times in found.items()}
    for name, times in found.items():
        cpu, wall = ([one[which] * 1000 for one in times] for which in (0, 1))
        spread = f"{min(cpu):.0f} to {max(cpu):.0f}"
        print(
            f"{name:<14} {medians[name] * 1000:6.0f} ms CPU, {spread}   by the clock {statistics.median(wall):.0f} ms"
        )
    ratio = medians["deploymachine"] / medians["empty"]
    print(f"ratio          {ratio:6.2f}      aim: at most {AIM}")
    if options.json:
        options.json.write_text(json.dumps(found))
    return 0 if ratio <= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
