"""One server with a database of a gigabyte in; what each split, move and merge takes, and what writers notice, out.

As `main_job.py` it works in a temporary directory with a home, a deployment and a devcloud of its own, and removes all
of it. The writers are those of the tests. `bench/README.rst` says how to read what it prints.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from add_appnode import address_of
from main_job import ROOT, StepError, World, carried_out, keep, parser_of, told, world

sys.path.append(str(ROOT / "tests" / "devcloud"))
from writers import Writing, writers

FRONT = "dbappbalancer1"
FLAVOR = "m1.small"
BEFORE = ("devcloud_up", "openstack_bootem", "root provision", "everything launch")
STEPS = (
    "split dbappbalancer",
    "move dbserver --to dbserver2",
    "split appbalancer",
    "appnode move --to appnode2",
    "merge loadbalancer appnode",
    "merge appbalancer dbserver",
)
KEEPERS = ("dbappbalancer", "dbserver")  # whoever may hold the databases
AIM, LIMIT = 1.0, 3.0  # seconds without an answer
PER_GIGABYTE = 900_000  # rows of 992 letters, with their two indexes
FILL = """INSERT INTO entries_entry (name, message, created, words, counted_by)
SELECT 'filler', repeat(md5(n::text), 31), now() - interval '1 day', 31, 'filler' FROM generate_series(1, {rows}) AS n;
"""
SETTLE = 120  # signatures before and after a step


@dataclass(frozen=True)
class Found:
    """Of one step: how long it took, and of the writers meanwhile, what they got and how long nobody got anything."""

    step: str
    seconds: float
    per_second: float
    pause: float
    slowest: float
    failures: int


def run(gigabytes: float, steps: Sequence[str]) -> list[Found]:
    """Every step under writers; then the book, which has to hold each text once. Raises StepError where it does not."""
    with world(cold=False) as here:
        with (here.deployment / "settings.py").open("a", encoding="utf-8") as settings:
            settings.write(f'\nOPENSTACK_SERVERS = {{"dbappbalancer": [("{FRONT}", "{FLAVOR}")]}}\n')
        for line in BEFORE:
            told(here.fab(*line.split()))
        _fill(here, round(gigabytes * PER_GIGABYTE))
        certificate = here.deployment / ".deploymachine/certificates/guestbook.pem"
        with writers(address_of(here, FRONT), certificate) as writing:
            found = [_carry_out(here, step, writing) for step in steps]
        _check(here, writing)
        return found


def _fill(here: World, rows: int) -> None:
    for words in (["--command", FILL.format(rows=rows)], ["--superuser", "--command", "VACUUM ANALYZE; CHECKPOINT"]):
        here.fab("dbappbalancer", "postgresql.psql", *words)


def _carry_out(here: World, step: str, writing: Writing) -> Found:
    writing.goes_on(SETTLE)
    failed, began = len(writing.failures), time.monotonic()
    timed = told(here.fab(*step.split(), "--yes", "--write-settings"))
    ended = time.monotonic()
    writing.goes_on(SETTLE)
    seen = writing.between(began, ended)
    here.fab("split", "--finish", "--yes")
    print(f"    {seen}", file=sys.stderr, flush=True)
    failures = writing.failures[failed:]
    return Found(step, timed.seconds, seen.per_second, seen.pause, seen.slowest, len(failures))


def _check(here: World, writing: Writing) -> None:
    lines = here.fab(*KEEPERS, "postgresql.psql", "--command", writing.query).lines
    book = writing.book("\n".join(line.text for line in lines))
    lost, twice = writing.lost(book), writing.twice(book)
    if lost or twice:
        raise StepError(f"{len(lost)} signatures are lost, {len(twice)} are there twice: {[*lost, *twice][:5]}")
    print(f"{len(book)} signatures are in the book, each once", flush=True)


def table(rounds: Sequence[Sequence[Found]]) -> str:
    """A row a step: medians of seconds and of signatures a second; the longest pause of all rounds; all failures."""
    head = f"{'seconds':>8} {'a second':>9} {'pause':>7} {'slowest':>8} {'failed':>7}"
    lines = ["", f"{'step':<32} {head}"]
    for each in zip(*rounds, strict=True):
        seconds, rate = (statistics.median(getattr(one, name) for one in each) for name in ("seconds", "per_second"))
        pause, slowest = max(one.pause for one in each), max(one.slowest for one in each)
        mark = "" if pause <= AIM else "  MISSED" if pause <= LIMIT else "  TOO LONG"
        row = f"{seconds:>8.1f} {rate:>9.0f} {pause:>7.2f} {slowest:>8.2f} {sum(one.failures for one in each):>7}"
        lines.append(f"{each[0].step:<32} {row}{mark}")
    return "\n".join(lines)


def main() -> int:
    """Exit code 0; 1 where a step failed, a request was answered with an error, or a pause was over the limit."""
    parser = parser_of("Time splits, moves and merges on machines made here, while writers sign the book.", 1)
    parser.add_argument("--gigabytes", type=float, default=1.0, metavar="N", help="how large the database is")
    parser.add_argument("--steps", type=int, default=len(STEPS), metavar="N", help="only the first N of them")
    options = parser.parse_args()
    steps = STEPS[: options.steps]
    rounds = carried_out(lambda: [run(options.gigabytes, steps) for _ in range(options.rounds)])
    print(table(rounds))
    keep(options.json, [[asdict(one) for one in found] for found in rounds])
    return int(any(one.failures or one.pause > LIMIT for found in rounds for one in found))


if __name__ == "__main__":
    sys.exit(main())
