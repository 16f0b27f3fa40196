"""rsyslog's configuration, tried by rsyslog itself where it is installed; what is kept and what goes at a lognode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "deploymachine/target/cookbooks/logs/files/log-retention"
LOGNODES = [{"name": "lognode1", "address": "10.0.0.9"}, {"name": "lognode2", "address": "10.0.0.8"}]
IDENTITY = {"authority": "A", "certificate": "C", "key": "K"}


@pytest.fixture
def rsyslog(declare):
    def declared(**attributes):
        given = {"lognodes": LOGNODES[:1], "identity": IDENTITY, **attributes}
        return declare("logs", **{"base.hostname": "one1"}, **{f"logs.{key}": value for key, value in given.items()})

    return declared


LOGNODE = {"lognodes": LOGNODES[1:], "senders": {"one1": "10.0.0.9", "app1": "10.0.0.5"}, "listen_address": "10.0.0.9"}


def test_a_server_sends_to_each_lognode_and_to_nobody_who_is_another(rsyslog, content):
    text = content(rsyslog(lognodes=LOGNODES), "/etc/rsyslog.conf")
    for node in LOGNODES:
        assert f'target="{node["address"]}" port="2514"' in text
        assert f'tls.permittedPeer=["{node["name"]}"]' in text
    assert text.count('queue.type="Disk"') == 2
    assert "imrelp" not in text


def test_a_lognode_takes_from_servers_of_the_deployment_only(rsyslog, content):
    kitchen = rsyslog(**LOGNODE)
    text = content(kitchen, "/etc/rsyslog.conf")
    assert 'address="10.0.0.9" port="2514"' in text
    assert 'tls.permittedPeer=["app1", "one1"]' in text
    table = json.loads(content(kitchen, "/etc/rsyslog.d/senders.json"))["table"]
    assert {row["index"]: row["value"] for row in table} == {
        "10.0.0.9": "one1",
        "10.0.0.5": "app1",
        "127.0.0.1": "one1",
    }
    assert "LogsDirectory=servers" in content_of_unit(kitchen, content)
    assert "LogsDirectory" not in content_of_unit(rsyslog(), content)


def content_of_unit(kitchen, content):
    unit = kitchen.resources["SystemdUnit"]["rsyslog.service.d/deploymachine.conf"]
    with kitchen:
        return str(unit.content())


def test_the_key_is_roots_alone(rsyslog):
    assert rsyslog().resources["File"]["/etc/rsyslog.d/tls/server.key"].mode == 0o600


def test_whatever_changes_makes_rsyslog_start_anew(rsyslog):
    kitchen = rsyslog()
    service = kitchen.resources["Service"]["rsyslog"]
    telling = [one for one in kitchen.resource_list if ("restart", service) in one.subscriptions["delayed"]]
    assert {one.name for one in telling} >= {"/etc/rsyslog.conf", "/etc/rsyslog.d/tls/server.pem"}
    assert "rsyslog.service.d/deploymachine.conf" in {one.name for one in telling}


def test_more_files_are_collected(rsyslog, content):
    kitchen = rsyslog(more_files={"/srv/x/*.log": "x-*"})
    assert 'file="/srv/x/*.log" tag="x-*"' in content(kitchen, "/etc/rsyslog.conf")
    assert json.loads(content(kitchen, "/etc/deploymachine/logs.json"))["/srv/x/*.log"] == "x-*"


@pytest.mark.parametrize("pattern", ["x.log", "/var/log/x", '/var/"log/x.log'])
def test_a_pattern_that_would_not_work_is_told(rsyslog, pattern):
    with pytest.raises(Exception, match="has to be an absolute path that ends in"):
        rsyslog(more_files={pattern: "x"})


def test_a_queue_that_could_not_work_is_told(rsyslog):
    with pytest.raises(Exception, match=r"logs\.queue_mb is 7"):
        rsyslog(queue_mb=7)


def test_the_last_lognode_is_gone(declare, tmp_path, monkeypatch):
    there = {"logs.is_ours": lambda path: True}
    kitchen = declare("logs", library=there)
    service = kitchen.resources["Service"]["rsyslog"]
    assert (service.action, service.enabled) == (["stop"], False)
    gone = {path for path, file in kitchen.resources["File"].items() if file.action == ["delete"]}
    assert "/etc/rsyslog.d/tls/server.key" in gone


@pytest.mark.parametrize("attributes", [{}, {"lognodes": LOGNODES}, LOGNODE, {**LOGNODE, "lognodes": []}])
def test_rsyslog_takes_the_configuration(rsyslog, content, run, tmp_path, attributes):
    kitchen = rsyslog(**attributes)
    (tmp_path / "tls").mkdir()
    for path in kitchen.resources["File"]:
        if path.startswith("/etc/rsyslog.d/"):
            (tmp_path / path.removeprefix("/etc/rsyslog.d/")).write_text(content(kitchen, path))
    configuration = tmp_path / "rsyslog.conf"
    text = content(kitchen, "/etc/rsyslog.conf").replace("/etc/rsyslog.d", str(tmp_path))
    configuration.write_text(text.replace("/var/spool/rsyslog", str(tmp_path)))
    told = run("rsyslogd", "-N1", "-f", configuration)
    assert "error" not in told


def test_logrotate_takes_the_configuration(rsyslog, content, run, tmp_path):
    configuration = tmp_path / "logrotate.conf"
    configuration.write_text(content(rsyslog(), "/etc/logrotate.conf").replace("include /etc/logrotate.d", ""))
    configuration.chmod(0o644)
    run("logrotate", "--debug", "--state", tmp_path / "state", configuration)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """kept(days=, megabytes=) -> the files that are left; `tmp_path/servers` is the lognode's directory."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemctl").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n')
    (tmp_path / "bin/systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    place = tmp_path / "servers"

    def left(days: int, megabytes: int) -> list[str]:
        words = ["--days", str(days), "--megabytes", str(megabytes), str(place)]
        subprocess.run([sys.executable, "-I", SCRIPT, *words], check=True, capture_output=True)
        return sorted(str(path.relative_to(place)) for path in place.rglob("*.log"))

    return left


def put(tmp_path: Path, days_ago: int, name: str, megabytes: float = 0.1) -> str:
    day = str((datetime.now(timezone.utc) - timedelta(days=days_ago)).date())
    path = tmp_path / "servers" / day / "a" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * int(megabytes * 1_000_000))
    return f"{day}/a/{name}.log"


def told(tmp_path: Path) -> bool:
    return (tmp_path / "told").exists()


def test_days_that_are_too_old_go(tmp_path, kept):
    files = [put(tmp_path, age, "x") for age in (0, 1, 2, 3, 400)]
    assert kept(days=3, megabytes=100) == sorted(files[:3])
    assert told(tmp_path)


def test_the_oldest_days_go_where_it_is_too_much(tmp_path, kept):
    files = [put(tmp_path, age, "x", 1) for age in range(5)]
    assert kept(days=30, megabytes=3) == sorted(files[:3])


def test_of_one_day_that_is_too_much_the_longest_files_go(tmp_path, kept):
    small, large = put(tmp_path, 0, "small", 1), put(tmp_path, 0, "large", 5)
    assert kept(days=30, megabytes=2) == [small]
    assert large != small
    assert told(tmp_path)


def test_nothing_is_touched_where_all_fits(tmp_path, kept):
    files = [put(tmp_path, age, "x") for age in (-400, 0, 29)]
    assert kept(days=30, megabytes=10) == sorted(files)
    assert not told(tmp_path)


def test_what_a_wrong_clock_dates_into_the_future_gets_old_as_well(tmp_path, kept):
    path = tmp_path / "servers" / put(tmp_path, -400, "x")
    long_ago = (datetime.now(timezone.utc) - timedelta(days=40)).timestamp()
    os.utime(path.parents[1], (long_ago, long_ago))
    assert kept(days=30, megabytes=10) == []
