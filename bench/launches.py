"""One server of each type in; the seconds that its launch takes out, and those of cooking all eight types again.

As `main_job.py` it works in a temporary directory with a home, a deployment and a devcloud of its own, and removes all
of it. Servers have what provisioning brought when the clock starts; packages come from the cache that machines share,
and from outside where that has none of them yet. `bench/README.rst` says how to read what it prints.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

from main_job import Timed, World, carried_out, keep, parser_of, told, world

# In the order in which they need each other. The last two are launched into a deployment that serves already.
KINDS = ("lognode", "dbserver", "cachenode", "loadbalancer", "appnode", "tasknode", "appbalancer", "dbappbalancer")
FLAVOR = "m1.small"
BEFORE = ("devcloud_up", "openstack_bootem", "root provision")
COOK = "everything kokki"
AGAIN = 2  # the first time everybody learns of those that came after it


def run(kinds: Sequence[str]) -> list[Timed]:
    """The launch of each type, then everything cooked once more, then once more without a change."""
    with world(cold=False) as here:
        _name_servers(here, kinds)
        for line in BEFORE:
            told(here.fab(*line.split()))
        launches = [told(here.fab(kind, "launch")) for kind in kinds]
        told(here.fab(*COOK.split()))
        return [*launches, *(told(here.fab(*COOK.split()).again()) for _ in range(AGAIN))]


def _name_servers(here: World, kinds: Sequence[str]) -> None:
    servers = {kind: [(f"{kind}1", FLAVOR)] for kind in kinds}
    with (here.deployment / "settings.py").open("a", encoding="utf-8") as settings:
        settings.write(f"\nOPENSTACK_SERVERS = {servers!r}\n")


def table(rounds: Sequence[Sequence[Timed]]) -> str:
    """A row a step: the median of its seconds, their spread, and what it changed the last time."""
    seconds: dict[str, list[float]] = {}
    for timed in (timed for steps in rounds for timed in steps):
        seconds.setdefault(timed.title, []).append(timed.seconds)
    changes = {timed.title: len(timed.changed) for timed in rounds[-1]}
    lines = ["", f"{'step':<28} {'seconds':>8} {'spread':>13} {'changes':>8}"]
    for title, took in seconds.items():
        spread = f"{min(took):.1f} - {max(took):.1f}" if len(took) > 1 else ""
        lines.append(f"{title:<28} {statistics.median(took):>8.1f} {spread:>13} {changes[title]:>8}")
    return "\n".join(lines)


def main() -> int:
    """Exit code 0; 1 where a step failed, or cooking again changed anything."""
    parser = parser_of("Time the launch of each server type on machines made here.", 1)
    parser.add_argument(
        "--types", default=",".join(KINDS), help="with commas; a site needs a balancer, appnode, dbserver"
    )
    options = parser.parse_args()
    rounds = carried_out(lambda: [run(options.types.split(",")) for _ in range(options.rounds)])
    print(table(rounds))
    keep(options.json, [{timed.title: timed.seconds for timed in steps} for steps in rounds])
    return int(any(steps[-1].changed for steps in rounds))


if __name__ == "__main__":
    sys.exit(main())
