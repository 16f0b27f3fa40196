"""Eight fleets, from one server that does everything to one of each type, and what is seen of each from outside."""

from __future__ import annotations

import json
import os
import re
import shlex
from dataclasses import dataclass

from fleet import Fleet, served_by
from machine_world import until

FLAVOR = "m1.small"
# Where there is time everything is installed from nothing.
IMAGE = "debian-13" if "DEPLOYMACHINE_SLOW_FLEETS" in os.environ else "prepared"
SITES = ("appnode", "tasknode")
CACHED, TASKS = ("cachenode", "dbappbalancer"), ("tasknode",)


@dataclass(frozen=True)
class Shape:
    """Types, each with how many servers of it. image: what they boot from."""

    name: str
    counts: tuple[tuple[str, int], ...]
    image: str = IMAGE

    @property
    def servers(self) -> dict[str, list[str]]:
        return {kind: [f"{kind}{number + 1}" for number in range(count)] for kind, count in self.counts}

    @property
    def front(self) -> str:
        """A server that visitors ask."""
        return next(names[0] for kind, names in self.servers.items() if kind.endswith("balancer"))

    def settings(self) -> str:
        named = {kind: [(name, FLAVOR) for name in names] for kind, names in self.servers.items()}
        return f"\nOPENSTACK_SERVERS = {named!r}\nOPENSTACK_IMAGE = {self.image!r}\n"


def shape(name: str, image: str = IMAGE, **counts: int) -> Shape:
    return Shape(name, tuple(counts.items()), image)


THREE = {"loadbalancer": 1, "appnode": 1, "dbserver": 1}
ALL = dict.fromkeys(("loadbalancer", "appnode", "dbserver", "cachenode", "tasknode", "lognode"), 1)
# Each is what the one before becomes: servers that the next one has, too, stay and are cooked again.
SHAPES = (
    shape("one server", dbappbalancer=1),
    shape("front and database", appbalancer=1, dbserver=1),
    shape("three tiers", **THREE),
    shape("two in front", **{**THREE, "loadbalancer": 2}),
    shape("with a cache", **THREE, cachenode=1),
    shape("with tasks", **THREE, tasknode=1),
    shape("with logs", **THREE, lognode=1),
    shape("all eight types", **ALL, appbalancer=1, dbappbalancer=1),
)
OLDER = (
    shape("one server", "debian-12", dbappbalancer=1),
    shape("all eight types", "debian-12", **ALL, appbalancer=1, dbappbalancer=1),
)


class Shaped:
    """A deployment that takes one shape after the other."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.plain = (fleet.directory / "settings.py").read_text()
        self.shape: Shape | None = None

    def become(self, wanted: Shape) -> None:
        """Servers that are not wanted any more go, those that are new come; all are launched."""
        if self.shape == wanted:
            return
        fleet, before = self.fleet, self.shape
        names = {name for names in wanted.servers.values() for name in names}
        same = before is not None and before.image == wanted.image
        there = {server.name for server in fleet.inventory()} if same else set()
        if not there & names:
            fleet.try_command("fab", "openstack_sudokillem", "--yes-i-mean-it", fleet.directory.name)
        (fleet.directory / "settings.py").write_text(self.plain + wanted.settings())
        fleet.fab("openstack_bootem")
        for name in sorted(there - names if there & names else ()):
            fleet.fab("openstack_kill", name, "--yes", "--yes-i-mean-it", name)
        fleet.fab("root", "provision")
        fleet.fab("everything", "launch")
        fleet.fab("everything", "kokki")
        fleet.front = wanted.front
        self.shape = wanted


def assert_serves(fleet: Fleet, wanted: Shape) -> None:
    """A signature that every balancer shows; a cached page, a counted signature and logs, where there can be."""
    kinds = {kind for kind, _ in wanted.counts}
    fronts = [name for kind, names in wanted.servers.items() if kind.endswith("balancer") for name in names]
    message = f"seen by {wanted.name}, {wanted.image}"
    fleet.front = fronts[0]
    assert fleet.sign("Ada", message).status == 302
    for front in fronts:
        fleet.front = front
        page = fleet.get()
        assert page.status == 200
        assert message in page.text, front  # type: ignore[attr-defined]
    if kinds & set(CACHED):
        assert until(lambda: 'id="cached"' in fleet.get().text), "no cached page"  # type: ignore[attr-defined]
    if kinds & set(TASKS):
        counted = rf"<p>{re.escape(message)}</p>\s*<p class=\"counted\">[^<]+counted by tasknode"
        assert until(lambda: re.search(counted, fleet.get().text), 30), "no worker counted"  # type: ignore[attr-defined]
    if "lognode" in kinds:
        lines = "cat /var/log/servers/*/*/nginx-site-guestbook.log 2>/dev/null || true"
        assert until(lambda: "/nginx-site-guestbook: " in fleet.sudo("lognode1", lines), 60), "no log arrived"


def assert_nodes_take_part(fleet: Fleet, wanted: Shape) -> None:
    """Every server with pages makes some of those that visitors see."""
    nodes = {
        name
        for kind, names in wanted.servers.items()
        if kind in ("appnode", "appbalancer", "dbappbalancer")
        for name in names
    }
    seen: set[str] = set()
    assert until(lambda: seen.update([served_by(fleet.get())]) or seen == nodes), (seen, nodes)


def assert_nothing_differs(fleet: Fleet) -> None:
    told = fleet.fab("everything", "kokki")
    assert " 0 changes" in told.splitlines()[-1], told
    ended = fleet.try_command("fab", "everything", "drift")
    assert ended.code == 0, ended.output


def assert_healthy(fleet: Fleet) -> None:
    """`fab status` finds nothing to do, whatever the fleet is."""
    ended = fleet.try_command("fab", "status", "--json")
    told = json.loads(ended.output)
    wanted = [one for one in told["concerns"] if one["about"] not in ("backup", "memory", "disk")]
    assert wanted == [], shlex.join(str(one) for one in wanted)
    assert all(server["reachable"] for server in told["servers"])
