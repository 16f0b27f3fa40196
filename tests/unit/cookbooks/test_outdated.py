"""A server that was away: whether it finds out that another leads, whatever it is told, and what it does then."""

from __future__ import annotations

import importlib.util
from importlib.machinery import SourceFileLoader
from types import SimpleNamespace

import pytest

from deploymachine import cookbooks

OURS = ("7000000000000000001", 2)
CONTROL = "Database system identifier:           7000000000000000001\nLatest checkpoint's TimeLineID:       2\n"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """The program that a server runs, with a primary's data directory of its own, at a server where nobody follows."""
    path = f"{cookbooks.cookbook('postgresql', ())}/files/postgresql-outdated"
    loader = SourceFileLoader("postgresql_outdated", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    (tmp_path / "17" / "global").mkdir(parents=True)
    (tmp_path / "17" / "pg_wal").mkdir()
    monkeypatch.setattr(module, "RETIRED", f"{tmp_path}/retired")
    monkeypatch.setattr(module, "DATA", f"{tmp_path}/{{version}}")
    monkeypatch.setattr(module, "following", set)
    monkeypatch.setattr(module.shutil, "chown", lambda *_: None)
    return module


def run(program, monkeypatch, answers, stop=False):
    """With peers that answer so: address -> what psql prints. The exit code, and what systemd was told."""
    told = []

    def output(command):
        return CONTROL if "pg_controldata" in command[0] else answers[command[3].split()[0].partition("=")[2]]

    monkeypatch.setattr(program, "output", output)
    answering = SimpleNamespace(close=lambda: None)
    monkeypatch.setattr(program.socket, "create_connection", lambda *_: answering)
    monkeypatch.setattr(program.subprocess, "run", lambda command, **_: told.append(command))
    peers = [f"db{number}={address}" for number, address in enumerate(answers, 2)]
    return program.main(SimpleNamespace(version="17", port="5432", stop=stop, peers=peers)), told


@pytest.mark.parametrize(
    "answer",
    [
        "",  # nobody there
        f"{OURS[0]}|3|0/3000000|\non\n",  # a replica
        f"{OURS[0]}|2|0/3000000|\noff\n",  # one that was promoted as we were, by hand: for a person to look at
        f"{OURS[0]}|1|0/3000000|\noff\n",  # it is the one that is outdated
        "7000000000000000009|3|0/3000000|\noff\n",  # of another system
    ],
)
def test_whoever_leads_starts_where_nobody_has_taken_over(program, monkeypatch, tmp_path, answer):
    assert run(program, monkeypatch, {"10.0.0.2": answer}) == (0, [])
    assert not (tmp_path / "retired").exists()


@pytest.mark.parametrize("stop", [False, True])
def test_one_of_whom_another_has_taken_over_is_given_up(program, monkeypatch, tmp_path, stop):
    leads = f"{OURS[0]}|3|0/3000000|\noff\n"
    code, told = run(program, monkeypatch, {"10.0.0.2": "", "10.0.0.3": leads}, stop)
    assert code == program.OUTDATED
    assert told == ([["systemctl", "stop", "postgresql@17-main.service"]] if stop else [])
    assert "db3 leads on a later timeline" in (tmp_path / "retired").read_text()
    assert (tmp_path / "17" / "standby.signal").exists()
    assert run(program, monkeypatch, {"10.0.0.3": leads}) == (0, [])  # nothing is left to be given up


def test_a_timeline_that_has_just_begun_counts_before_any_checkpoint(program, monkeypatch, tmp_path):
    (tmp_path / "17" / "pg_wal" / "00000003.history").touch()
    assert run(program, monkeypatch, {"10.0.0.2": f"{OURS[0]}|3|0/3000000|\noff\n"}) == (0, [])


def test_who_follows_is_not_asked(program, monkeypatch):
    monkeypatch.setattr(program, "following", lambda: {"10.0.0.2"})
    assert run(program, monkeypatch, {"10.0.0.2": f"{OURS[0]}|3|0/3000000|\noff\n"}) == (0, [])


def test_followers_are_known_by_the_names_of_processes(program):
    told = "postgres: 17/main: walsender replication 10.0.0.2(53210) streaming 0/30001A0"
    assert program.FOLLOWER.match(told)[1] == "10.0.0.2"
    assert not program.FOLLOWER.match("postgres: 17/main: walsender replication 10.0.0.2(53210) startup")


def test_only_where_others_have_the_databases_anybody_looks(declare):
    peers = [{"name": "db2", "address": "10.0.0.2", "slot": "dm_db2"}]
    alone = declare("postgresql", **{"postgresql.version": "17", "postgresql.memory_mb": 1024})
    two = declare(
        "postgresql", **{"postgresql.version": "17", "postgresql.memory_mb": 1024, "postgresql.replicas": peers}
    )
    unit = "deploymachine-postgresql-outdated.timer"
    assert (alone.resources["Service"][unit].action, two.resources["Service"][unit].action) == (["stop"], ["start"])
    drop_in = two.resources["SystemdUnit"]["postgresql@.service.d/deploymachine-outdated.conf"].content
    with two:
        assert "postgresql-outdated --version 17 --port 5432 db2=10.0.0.2" in str(drop_in())
