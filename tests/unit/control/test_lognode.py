"""A fleet with and without a lognode: who sends what to whom, and who may."""

from __future__ import annotations

import io

import pytest

from deploymachine import servertypes
from deploymachine.inventory import Inventory, Server
from deploymachine.launch import tell_lognodes
from deploymachine.report import LineReport
from deploymachine.runlist import run_lists
from deploymachine.servertypes import Deployment, attributes


@pytest.fixture
def logged(deployment: Deployment) -> Deployment:
    nodes = [Server("lognode1", "lognode", "10.0.0.41"), Server("all1", "dbappbalancer", "10.0.0.51")]
    return Deployment(deployment.settings, Inventory([*deployment.inventory, *nodes]), deployment.secrets)


def of(name: str, deployment: Deployment) -> dict[str, object]:
    return attributes(deployment.inventory.named(name), deployment)


def test_without_a_lognode_nothing_is_sent_and_nothing_is_made(deployment: Deployment) -> None:
    for server in deployment.inventory:
        found = attributes(server, deployment)
        assert (found["logs.lognodes"], found["logs.identity"]) == ([], None)
    assert not (deployment.settings.state / "authority/servers/loadbalancer1.pem").exists()


def test_every_type_sends_to_the_lognode_and_is_let_in_there(logged: Deployment) -> None:
    plain = [kind for kind in servertypes.names() if servertypes.parts(kind) == (kind,)]
    others = [Server(f"{kind}9", kind, f"10.0.9.{number}") for number, kind in enumerate(plain)]
    everybody = Inventory([*logged.inventory, *others])
    fleet = Deployment(logged.settings, everybody, logged.secrets)
    rules = of("lognode1", fleet)["base.firewall_rules"]
    assert {rule["port"] for rule in rules} == {2514}
    assert {source for rule in rules for source in rule["sources"]} == {server.private_ip for server in everybody}
    for server in others:
        lognodes = attributes(server, fleet)["logs.lognodes"]
        assert {"name": "lognode1", "address": "10.0.0.41"} in lognodes or server.type == "lognode"


def test_each_server_gets_its_own_key_only(logged: Deployment) -> None:
    keys = {server.name: attributes(server, logged)["logs.identity"]["key"] for server in logged.inventory}
    assert len(set(keys.values())) == len(keys)
    for name, wanted in run_lists(logged.inventory, logged).items():
        told = str(wanted.request())
        lines = {other: key.splitlines()[1] for other, key in keys.items()}
        assert [other for other, line in lines.items() if line in told] == [name]
        authority = logged.secrets.made_by("authority-key", lambda: "").splitlines()[1]
        assert authority not in told


def test_a_lognode_knows_its_senders_and_keeps_as_settings_say(logged: Deployment) -> None:
    found = of("lognode1", logged)
    assert found["logs.senders"]["appnode1"] == "10.0.0.21"
    assert set(found["logs.senders"]) == {server.name for server in logged.inventory}
    assert found["logs.listen_address"] == "10.0.0.41"
    assert (found["logs.retention_days"], found["logs.retention_mb"]) == (30, 5000)
    assert found["logs.lognodes"] == []


def test_several_lognodes_get_everything_each(logged: Deployment) -> None:
    two = Inventory([*logged.inventory, Server("lognode2", "lognode", "10.0.0.42")])
    fleet = Deployment(logged.settings, two, logged.secrets)
    assert [node["name"] for node in of("appnode1", fleet)["logs.lognodes"]] == ["lognode1", "lognode2"]
    assert [node["name"] for node in of("lognode2", fleet)["logs.lognodes"]] == ["lognode1"]


def test_what_a_lognode_cooks(logged: Deployment) -> None:
    lists = run_lists(logged.inventory, logged)
    assert lists["lognode1"].recipes == ("base", "logs", "logs.central")
    assert all(wanted.recipes[:2] == ("base", "logs") for wanted in lists.values())


def test_a_lognode_that_is_away_holds_up_no_launch(logged: Deployment) -> None:
    told = io.StringIO()
    tell_lognodes([logged.inventory.named("appnode1")], logged, LineReport(told))
    assert "lognode1: skipped" in told.getvalue()
    assert "`fab kokki:lognode`" in told.getvalue()


def test_a_launch_without_a_lognode_tells_nobody(deployment: Deployment) -> None:
    told = io.StringIO()
    tell_lognodes([deployment.inventory.named("appnode1")], deployment, LineReport(told))
    assert told.getvalue() == ""
