"""A running site in; out come the seconds until one more appnode serves it, with and without a baked image.

As `main_job.py` it works in a temporary directory with a home, a deployment and a devcloud of its own, and removes all
of it. `bench/README.rst` says how to read what it prints.
"""

from __future__ import annotations

import http.client
import json
import ssl
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from main_job import LAUNCHES, StepError, World, carried_out, keep, parser_of, told, world

NODE = "appnode2"
STEPS = (f"openstack_boot {NODE}", "root provision", "appnode launch", "kokki:loadbalancer")
FIRST, TOTAL, BAKE = "first served request", "all of it", "openstack_bake appnode1"
PATIENCE = 60.0  # seconds for the first request
Seconds = dict[str, list[float]]


def run(rounds: int) -> dict[str, Seconds]:
    """Kind of image -> step -> its seconds in every round."""
    found: dict[str, Seconds] = {"plain": {}, "baked": {}}
    with world(cold=False) as here:
        for line in ("devcloud_up", "openstack_bootem", "root provision", *LAUNCHES):
            told(here.fab(*line.split()))
        trust = here.deployment / ".deploymachine/certificates/guestbook.pem"
        site = Site(address_of(here, "loadbalancer1"), trust)
        _kill(here)
        for _ in range(rounds):
            _add(here, site, found["plain"])
        found["baked"][BAKE] = [told(here.fab(*BAKE.split())).seconds]
        for _ in range(rounds):
            _add(here, site, found["baked"])
    return found


def _add(here: World, site: Site, seconds: Seconds) -> None:
    """Add the node, wait until it has served a page, take it away again."""
    began = time.monotonic()
    for step in STEPS:
        seconds.setdefault(step, []).append(told(here.fab(*step.split())).seconds)
    after = time.monotonic()
    site.until_served_by(NODE)
    seconds.setdefault(FIRST, []).append(time.monotonic() - after)
    seconds.setdefault(TOTAL, []).append(time.monotonic() - began)
    _kill(here)


def _kill(here: World) -> None:
    here.fab("openstack_kill", NODE, "--yes")


def address_of(here: World, name: str) -> str:
    lines = "\n".join(line.text for line in here.fab("openstack_list", "--json").lines)
    servers = json.loads(lines[lines.index("[") :])
    return next(str(one["public_ip"] or one["private_ip"]) for one in servers if one["name"] == name)


class Site:
    """The site as its visitors reach it."""

    def __init__(self, address: str, certificate: Path) -> None:
        self.address = address
        self.trust = ssl.create_default_context(cafile=str(certificate))

    def until_served_by(self, node: str) -> None:
        """Ask until a page comes from that node. Raises StepError where none does in time."""
        deadline = time.monotonic() + PATIENCE
        while f'id="server">{node}<' not in self._page():
            if time.monotonic() > deadline:
                raise StepError(f"{node} served nothing within {PATIENCE:.0f} s")

    def _page(self) -> str:
        connection = http.client.HTTPSConnection(self.address, timeout=20, context=self.trust)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        finally:
            connection.close()


def table(found: Mapping[str, Seconds]) -> str:
    """A row a step: medians, and their spread, for either kind of image."""
    lines = ["", f"{'step':<28} {'plain':>7} {'spread':>13} {'baked':>8} {'spread':>13}"]
    for step in (*STEPS, FIRST, TOTAL):
        lines.append(f"{step:<28} {_cell(found['plain'][step], 7)} {_cell(found['baked'][step], 8)}".rstrip())
    return "\n".join([*lines, "", f"fab {BAKE}: {found['baked'][BAKE][0]:.1f} s, once"])


def _cell(seconds: Sequence[float], width: int) -> str:
    spread = f"{min(seconds):.1f} - {max(seconds):.1f}" if len(seconds) > 1 else ""
    return f"{statistics.median(seconds):>{width}.1f} {spread:>13}"


def main() -> int:
    """Exit code 0; 1 where a step failed."""
    options = parser_of("Time the adding of an appnode to a running site.", 3).parse_args()
    found = carried_out(lambda: run(options.rounds))
    print(table(found))
    keep(options.json, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
