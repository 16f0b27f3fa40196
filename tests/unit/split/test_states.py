"""The deployments in between are ordinary ones: who leads, who gets visitors, who is let in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from change_world import deployment

from deploymachine.inventory import Inventory, Server
from deploymachine.servertypes import Deployment, attributes, broker, openings
from deploymachine.split.part import CACHE, MEDIA, QUEUES, Moving
from deploymachine.split.shapes import Change, Newcomer, move, split
from deploymachine.split.states import AFTER, BEFORE, DURING, deployment_in

BOX = {"box1": "dbappbalancer"}


def with_new(here: Deployment, change: Change) -> Deployment:
    """As if the new servers were booted within the same minute as the first."""
    new = [Server(name, change.after[name], "10.0.0.9", created="2026-01-31T12:02:01Z") for name in change.joining]
    return replace(here, inventory=Inventory([*here.inventory, *new]))


def upstreams(here: Deployment, name: str = "box1") -> list[str]:
    found: list[str] = attributes(here.inventory.named(name), here)["nginx.sites"][0]["upstreams"]
    return found


def moved_appnode(directory: Path) -> tuple[Change, Deployment]:
    here = deployment(directory, box1="appbalancer", db1="dbserver")
    change = split(here.inventory.named("box1"), (), {"appnode": "an1"}, here.inventory, here.settings)
    return change, with_new(here, change)


def test_visitors_go_to_the_old_one_until_the_new_one_has_taken_over(tmp_path: Path) -> None:
    change, here = moved_appnode(tmp_path)
    assert upstreams(deployment_in(BEFORE, change, here)) == ["10.0.0.1:8000"]
    during = deployment_in(DURING, change, here)
    assert [server.name for server in during.inventory.serving("appnode")] == ["an1", "box1"]
    assert upstreams(during) == ["10.0.0.1:8000"]
    moving = Moving(MEDIA, during.inventory.named("box1"), during.inventory.named("an1"), during, None)  # type: ignore[arg-type]
    assert upstreams(moving.handed) == ["10.0.0.9:8000"]
    assert upstreams(deployment_in(DURING, change, here, [MEDIA])) == ["10.0.0.9:8000"]
    assert upstreams(deployment_in(AFTER, change, here)) == ["10.0.0.9:8000"]


def test_cron_is_one_servers_at_every_moment(tmp_path: Path) -> None:
    change, here = moved_appnode(tmp_path)
    first = [
        deployment_in(stage, change, here, done).first("tasknode", "appnode").name  # type: ignore[union-attr]
        for stage, done in ((BEFORE, ()), (DURING, ()), (DURING, (QUEUES, MEDIA)), (AFTER, ()))
    ]
    assert first == ["box1", "box1", "an1", "an1"]


def test_a_cache_is_written_where_it_was_until_it_is_switched(tmp_path: Path) -> None:
    here = deployment(tmp_path, **BOX)
    change = split(
        here.inventory.named("box1"), ["appbalancer", "dbserver", "cachenode"], {}, here.inventory, here.settings
    )
    there = with_new(here, change)
    led = [
        [node.name for node in deployment_in(stage, change, there, done).staying("cachenode")]
        for stage, done in ((DURING, ()), (DURING, (CACHE,)), (AFTER, ()))
    ]
    assert led == [["box1", "cachenode1"], ["cachenode1", "box1"], ["cachenode1"]]


def test_queues_stay_on_the_tasknode_until_the_broker_has_them(tmp_path: Path) -> None:
    here = deployment(tmp_path, tasks1="tasknode", front1="appbalancer", db1="dbserver")
    change = split(here.inventory.named("tasks1"), ["tasknode", "broker"], {}, here.inventory, here.settings)
    there = with_new(here, change)
    held = [broker.node(deployment_in(stage, change, there)) for stage in (BEFORE, DURING, AFTER)]
    assert [server.name if server else None for server in held] == ["tasks1", "tasks1", "broker1"]


def test_the_door_to_the_queues_is_open_on_both_until_the_end(tmp_path: Path) -> None:
    here = deployment(tmp_path, tasks1="tasknode", front1="appbalancer", db1="dbserver")
    change = split(here.inventory.named("tasks1"), ["tasknode", "broker"], {}, here.inventory, here.settings)
    there = with_new(here, change)

    def open_on(found: Deployment) -> list[str]:
        rules = {one.name: attributes(one, found)["base.firewall_rules"] for one in found.inventory}
        by_hosts = [name for name, doors in rules.items() if broker.PORT in [door["port"] for door in doors]]
        by_type = [one.name for one in found.inventory if of_queues(one.type, found)]
        assert by_hosts == by_type
        return by_hosts

    def of_queues(kind: str, found: Deployment) -> bool:
        return broker.PORT in [opening.port for opening in openings(kind, found.settings)]

    assert open_on(deployment_in(BEFORE, change, there)) == ["tasks1"]
    assert open_on(deployment_in(DURING, change, there)) == ["broker1", "tasks1"]
    assert open_on(deployment_in(DURING, change, there, [QUEUES])) == ["broker1", "tasks1"]
    assert open_on(deployment_in(AFTER, change, there)) == ["broker1"]


def test_two_keepers_of_databases_let_each_other_in_while_both_are_there(tmp_path: Path) -> None:
    here = deployment(tmp_path, **BOX)
    change = split(here.inventory.named("box1"), (), {}, here.inventory, here.settings)
    there = with_new(here, change)

    def doors(stage: str) -> list[str]:
        found = deployment_in(stage, change, there)
        return [rule["comment"] for rule in attributes(found.inventory.named("box1"), found)["base.firewall_rules"]]

    assert "PostgreSQL for the dbservers" not in doors(BEFORE)
    assert "PostgreSQL for the dbservers" in doors(DURING)
    assert not [comment for comment in doors(AFTER) if "PostgreSQL" in comment]


def test_a_new_server_is_described_as_the_one_it_comes_from(tmp_path: Path) -> None:
    here = deployment(tmp_path, **BOX)
    change = Change("move", {"db1": "dbserver"}, {"db2": "dbserver"}, (Newcomer("db2", "box1", zone="north"),))
    found = deployment_in(AFTER, change, here).settings.booted()["db2"]
    assert (found[0], found[1].flavor, found[1].zone) == ("dbserver", "m1.small", "north")


def test_the_way_back_knows_servers_that_settings_say_no_more(tmp_path: Path) -> None:
    here = deployment(tmp_path, front1="appbalancer", db1="dbserver")
    change = move(here.inventory.named("db1"), "db2", "", "", here.inventory, here.settings)
    written = replace(here, settings=deployment_in(AFTER, change, with_new(here, change)).settings)
    assert "db1" not in written.settings.booted()
    found = deployment_in(DURING, change, with_new(written, change))
    rules = attributes(found.inventory.named("db2"), found)["base.firewall_rules"]
    assert "PostgreSQL for the dbservers" in [rule["comment"] for rule in rules]
    assert deployment_in(BEFORE, change, written).settings == here.settings
