"""The cache on its way: in which order it is switched, what a fault puts back, what Redis says and is told."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import caches
import pytest

from deploymachine.errors import ConvergeError
from deploymachine.report import LineReport
from deploymachine.servertypes import Deployment
from deploymachine.split import cache
from deploymachine.split.part import CACHE, Moving
from tests.unit.control.test_caches import CACHES, environment
from tests.unit.control.test_caches import cached as cached  # a fixture

OLD, NEW = CACHES
INFO = """# Replication\r
role:slave\r
master_host:10.0.0.41\r
master_link_status:up\r
master_sync_in_progress:0\r
slave_repl_offset:{applied}\r
master_repl_offset:{applied}\r
used_memory_dataset:2048\r
db0:keys=12,expires=3,avg_ttl=0\r
db3:keys=1,expires=0,avg_ttl=0\r
"""


class World:
    """Two Redis and the sites; `did` tells what was done in which order. fails: an action that is refused."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, moving: Moving, fails: str = "") -> None:
        self.did: list[str] = []
        self.of = OLD.private_ip
        self.role, self.fails = {OLD.name: "master", NEW.name: "slave"}, fails
        monkeypatch.setattr(cache, "_look", lambda server, _: self.state(server.name))
        monkeypatch.setattr(cache, "_ask", self.ask)
        monkeypatch.setattr(cache, "cook", self.cook)
        monkeypatch.setattr(cache, "_wait_for_the_last", lambda _: self.do("wait"))
        monkeypatch.setattr(cache, "reached", lambda server, _: server.name not in self.gone)
        monkeypatch.setattr(cache, "POLL", 0)
        self.gone: set[str] = set()

    def state(self, name: str) -> dict[str, Any]:
        of = self.of if self.role[name] == "slave" else ""
        facts = {"role": self.role[name], "of": of, "link": "up" if of else "", "syncing": False}
        return {**facts, "offset": 7, "applied": 7, "keys": 2, "expiring": 1, "bytes": 10}

    def do(self, what: str) -> None:
        self.did.append(what)
        if what.startswith(self.fails or "nothing"):
            raise ConvergeError("refused")

    def ask(self, server: Any, _moving: Moving, action: str, **_more: Any) -> dict[str, Any]:
        self.do(f"{action} {server.name}")
        if action == "lead":
            self.role[server.name] = "master"
        return self.state(server.name)

    def cook(self, servers: Any, deployment: Deployment, *_: Any, recipes: Any, **__: Any) -> None:
        where = environment(deployment)["CACHE_URL"].rpartition("@")[2]
        told = f" to {where}" if recipes == ("django",) else ""
        self.do(f"{','.join(recipes)} on {','.join(server.name for server in servers)}{told}")


@pytest.fixture
def moving(cached: Deployment) -> Moving:
    between = replace(cached, behind=frozenset({(NEW.name, "cachenode")}))
    return Moving(CACHE, OLD, NEW, between, LineReport(io.StringIO()), 0.2)


TOLD = "django on appnode1,appnode2 to 10.0.0.{}:6379/0"


def test_the_new_one_leads_when_nobody_writes_to_the_old_one_any_more(
    monkeypatch: pytest.MonkeyPatch, moving: Moving
) -> None:
    world = World(monkeypatch, moving)
    told = cache.switch(moving)
    order = ["open cachenode2", TOLD.format(42), "wait", "lead cachenode2"]
    after = [TOLD.format(42), "redis on cachenode2", "redis on cachenode1"]
    assert world.did == order + after
    expected = "cache: 2 keys on cachenode1, 1 of them with a time to live; 2 and 1 on cachenode2"
    assert (told.pause, told.proof) == (0.0, (expected,))
    world.did.clear()
    cache.switch(moving)
    assert world.did == after  # again: nothing is opened or waited for


@pytest.mark.parametrize("fails", ["open", "wait", "lead"])
def test_a_fault_before_it_leads_puts_the_sites_back(
    monkeypatch: pytest.MonkeyPatch, moving: Moving, fails: str
) -> None:
    world = World(monkeypatch, moving, fails)
    with pytest.raises(ConvergeError, match="refused"):
        cache.switch(moving)
    assert world.did[-2:] == [TOLD.format(41), "close cachenode2"]
    assert world.role == {OLD.name: "master", NEW.name: "slave"}


def test_one_that_does_not_catch_up_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch, moving: Moving) -> None:
    world = World(monkeypatch, moving)
    behind = {**world.state(NEW.name), "applied": 3}
    monkeypatch.setattr(cache, "_look", lambda server, _: behind if server == NEW else world.state(OLD.name))
    with pytest.raises(ConvergeError) as caught:
        cache.prepare(moving)
    assert caught.value.why == "after 0 s it lacks 4 bytes; its link is up"
    assert world.did == []


def test_the_way_back_is_a_switch_the_other_way(monkeypatch: pytest.MonkeyPatch, moving: Moving) -> None:
    world = World(monkeypatch, moving)
    world.role, world.of = {OLD.name: "slave", NEW.name: "master"}, NEW.private_ip
    cache.back(replace(moving, deployment=moving.handed))
    assert world.did[:4] == ["open cachenode1", TOLD.format(41), "wait", "lead cachenode1"]


def test_cut_off_when_both_lead_the_old_one_first_takes_what_came_to_the_new(
    monkeypatch: pytest.MonkeyPatch, moving: Moving
) -> None:
    world = World(monkeypatch, moving)
    world.role = dict.fromkeys((OLD.name, NEW.name), "master")
    cache.back(moving)
    assert world.did[0] == "redis on cachenode1"


def test_one_that_is_gone_does_not_keep_the_old_one_from_leading(
    monkeypatch: pytest.MonkeyPatch, moving: Moving
) -> None:
    world = World(monkeypatch, moving)
    world.gone = {NEW.name}
    cache.back(replace(moving, deployment=moving.handed))
    assert world.did == [TOLD.format(41), "redis on cachenode1"]


@pytest.fixture
def redis_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """A `redis-cli` that answers as a copy would that gets on; what it was asked."""
    (tmp_path / "info").write_text(INFO)
    program = tmp_path / "redis-cli"
    program.write_text(
        f"""#!/bin/sh
echo "$REDISCLI_AUTH $*" >> {tmp_path}/asked
case "$*" in
  *INFO) at=$(grep -c INFO {tmp_path}/asked); sed "s/{{applied}}/$at/" {tmp_path}/info ;;
  *"NO ONE") sed -i s/role:slave/role:master/ {tmp_path}/info; echo OK ;;
  *) echo OK ;;
esac
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(caches, "PAUSE", 0)
    return lambda: (tmp_path / "asked").read_text().splitlines()


def asked(action: str, **more: Any) -> tuple[int, dict[str, Any]]:
    login = {"user": "shop.keeper", "password": {"$secret": "keeper-pw"}, "port": 6379, "authority": "/tls/a.pem"}
    told: list[dict[str, Any]] = []
    code = caches.main({"command": "caches", "action": action, "login": login, **more}, told.append)
    return code, told[-1]["result"]


def test_what_a_copy_holds_and_how_far_it_is(redis_cli: Callable[[], list[str]]) -> None:
    code, result = asked("state")
    assert code == 0
    expected = {"role": "slave", "of": "10.0.0.41", "link": "up", "syncing": False, "offset": 1, "applied": 1}
    held = {"bytes": 2048, "keys": 13, "expiring": 3, "databases": {"db0": 12, "db3": 1}}
    assert result == {**expected, **held}
    words = "-h 127.0.0.1 -p 6379 --no-auth-warning --user shop.keeper --tls --cacert /tls/a.pem INFO"
    assert redis_cli() == [f"keeper-pw {words}"]


def test_it_leads_when_it_has_what_it_needs(redis_cli: Callable[[], list[str]]) -> None:
    code, result = asked("lead", offset=4, seconds=20)
    assert (code, result["role"]) == (0, "master")
    orders = [line.partition("a.pem ")[2] for line in redis_cli()]
    assert orders == ["INFO"] * 4 + ["REPLICAOF NO ONE", "CONFIG SET replica-read-only yes", "INFO"]


def test_it_does_not_lead_without(redis_cli: Callable[[], list[str]]) -> None:
    assert asked("lead", offset=10**9, seconds=0)[0] == 1
    assert not [line for line in redis_cli() if "REPLICAOF" in line]
