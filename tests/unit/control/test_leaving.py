"""What ends on a server whose type becomes smaller, or that goes: by which recipes, in which order, and what stays."""

from __future__ import annotations

import io
from typing import Any

import pytest

from deploymachine import servertypes
from deploymachine.inventory import Inventory, Server
from deploymachine.report import LineReport
from deploymachine.servertypes import Deployment
from deploymachine.split import leaving

DATABASE = ["redis", "pgbackrest", "postgresql"]


@pytest.fixture
def cooked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was cooked: (server, its type, recipes, attributes)."""
    found: list[Any] = []

    def cook(servers: Any, deployment: Deployment, report: Any, *, recipes: Any, attributes: Any, **_: Any) -> None:
        del deployment, report
        found.append((servers[0].name, servers[0].type, recipes, attributes))

    monkeypatch.setattr(leaving, "cook", cook)
    return found


def box(deployment: Deployment, kind: str) -> Deployment:
    inventory = Inventory([*deployment.inventory, Server("box1", kind, "10.0.0.9")])
    return Deployment(deployment.settings, inventory, deployment.secrets)


def silent() -> LineReport:
    return LineReport(io.StringIO())


@pytest.mark.parametrize(
    ("before", "after", "recipes"),
    [
        ("dbappbalancer", "appbalancer", DATABASE),
        ("dbappbalancer", "loadbalancer", [*DATABASE, "django", "pgbouncer", "supervisor"]),
        ("appbalancer", "loadbalancer", ["django", "pgbouncer", "supervisor"]),
        ("appbalancer", "appnode", ["nginx"]),
        ("appbalancer", "dbappbalancer", []),
        ("dbserver", None, ["pgbackrest", "postgresql"]),
        ("lognode", None, ["logs.central"]),
    ],
)
def test_what_ends_is_what_the_smaller_type_does_not_cook_last_begun_first(
    deployment: Deployment, before: str, after: str | None, recipes: list[str]
) -> None:
    assert leaving.ended(before, after, deployment.settings) == recipes


@pytest.mark.parametrize("kind", servertypes.names())
def test_all_that_a_type_brings_can_be_ended_and_removed(deployment: Deployment, kind: str, cooked: list[Any]) -> None:
    known = leaving._known(deployment.settings)
    ended = leaving.ended(kind, None, deployment.settings)
    assert ended
    for how in ("absent", "removed"):
        assert {leaving._counterpart(recipe, how) for recipe in ended} <= known


def test_a_server_that_shrinks_stops_first_and_loses_its_data_later(deployment: Deployment, cooked: list[Any]) -> None:
    before, after = box(deployment, "dbappbalancer"), box(deployment, "appbalancer")
    old = before.inventory.named("box1")
    assert leaving.shrink(old, old.type, after, silent()) == []
    assert len(cooked) == 1
    assert leaving.remove(old, old.type, after, silent()) == []
    stopped = tuple(f"{recipe}.absent" for recipe in DATABASE)
    removed = tuple(f"{recipe}.removed" for recipe in DATABASE)
    assert [recipes for *_, recipes, _ in cooked] == [stopped, stopped, removed]
    assert {(name, kind, *attributes) for name, kind, _, attributes in cooked} == {("box1", "appbalancer")}


def test_one_that_does_all_it_did_is_left_alone(deployment: Deployment, cooked: list[Any]) -> None:
    after = box(deployment, "dbappbalancer")
    assert leaving.shrink(after.inventory.named("box1"), "appbalancer", after, silent()) == []
    assert cooked == []


def test_one_that_goes_stops_everything_and_lets_in_nobody(deployment: Deployment, cooked: list[Any]) -> None:
    during = box(deployment, "lognode")
    assert leaving.stop(during.inventory.named("box1"), during, silent()) == []
    recipes, closed = ("logs.central_absent", "base.firewall"), {"base.firewall_rules": []}
    assert cooked == [("box1", "lognode", recipes, closed)]


def test_what_nobody_can_end_is_told_and_a_cookbook_of_ones_own_can_say_how(
    deployment: Deployment, cooked: list[Any]
) -> None:
    folder = deployment.settings.directory
    roles = (folder / "kokki-config.yaml").read_text().replace("cookbook_paths: []", "cookbook_paths: [own]")
    more = roles.replace("recipes: [redis]", "recipes: [redis, search, search.index]")
    (folder / "kokki-config.yaml").write_text(more)
    (folder / "own" / "search" / "recipes").mkdir(parents=True)
    (folder / "own" / "search" / "metadata.py").touch()
    (folder / "own" / "search" / "recipes" / "absent.py").touch()
    after = box(deployment, "appbalancer")
    told = leaving.shrink(after.inventory.named("box1"), "dbappbalancer", after, silent())
    assert told == ["box1: what search.index brought stays; search.index_absent would end it"]
    assert cooked[0][2] == ("search.absent", *(f"{recipe}.absent" for recipe in DATABASE))
