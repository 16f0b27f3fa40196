"""Directories of logs and a journal in, the lines of all of them in their order out; then those that come later."""

from __future__ import annotations

import gzip
import json
import os
from contextlib import closing
from pathlib import Path

import logs
import pytest
from logs import sources
from logs.lines import Wanted
from logs.sources import Central, Own
from logs.tail import NEAR, Tail

SINCE = 1769860800.0  # 2026-01-31 12:00
JOURNALCTL = """#!/bin/sh
echo "$@" >> {home}/asked
case "$*" in
  *--follow*) cat {home}/later; exec sleep 60;;
  *) cat {home}/journal;;
esac
"""


def asked(**more):
    request = {"since": SINCE, "servers": None, "site": None, "sites": ["shop"], "grep": None, "gone": []}
    return {**request, "follow": False, "central": False, "host": "appnode1", **more}


@pytest.fixture
def root(tmp_path: Path, monkeypatch):
    """A server's disk, with a journalctl that tells what lies in `journal` and `later`."""
    monkeypatch.setattr(sources, "ROOT", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program = tmp_path / "journalctl"
    program.write_text(JOURNALCTL.format(home=tmp_path))
    program.chmod(0o755)
    for name in ("journal", "later"):
        (tmp_path / name).write_text("")
    return tmp_path


def put(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def kept(second: int, who: str, text: str, day: str = "2026-01-31") -> str:
    return f"{day}T12:00:{second:02}.000000+00:00 {who}: {text}"


@pytest.fixture
def lognode(root):
    days = root / "var/log/servers"
    put(days / "2026-01-30/a/sshd.log", kept(1, "a/sshd", "old", "2026-01-30"))
    put(days / "2026-01-31/a/sshd.log", kept(1, "a/sshd", "one"), kept(3, "a/sshd", "three"))
    put(days / "2026-01-31/b/site-shop.log", kept(2, "b/site-shop", "two"), kept(2, "b/site-shop", "and a half"))
    put(days / "2026-02-01/b/sshd.log", kept(0, "b/sshd", "next day", "2026-02-01"))
    return days


def texts(lines):
    return [line.text for line in lines]


def history(source):
    with closing(source):
        return list(source.history())


def test_a_lognode_tells_of_all_servers_in_the_order_of_time(lognode):
    assert texts(history(Central(Wanted(asked())))) == ["one", "two", "and a half", "three", "next day"]


def test_a_lognode_tells_of_some(lognode):
    assert texts(history(Central(Wanted(asked(servers=["b"]))))) == ["two", "and a half", "next day"]
    assert texts(history(Central(Wanted(asked(site="shop"))))) == ["two", "and a half"]
    assert texts(history(Central(Wanted(asked(grep="a half"))))) == ["and a half"]


def test_a_lognode_goes_on_telling(lognode):
    source = Central(Wanted(asked()))
    list(source.history())
    assert list(source.news()) == []
    put(lognode / "2026-02-01/b/sshd.log", kept(1, "b/sshd", "more", "2026-02-01"))
    put(lognode / "2026-02-02/c/cron.log", kept(0, "c/cron", "a new day, a new server", "2026-02-02"))
    assert texts(source.news()) == ["more", "a new day, a new server"]
    assert list(source.news()) == []
    source.close()


def test_names_that_nobody_knows_are_refused(lognode):
    told = []
    assert logs.main(asked(central=True, servers=["x"], gone=["x"]), told.append) == 1
    assert told[0]["event"] == "failure"
    assert "a, b" in told[0]["why"]
    told.clear()
    assert logs.main(asked(central=True, servers=["a"], gone=["a"]), told.append) == 0
    assert [line[3] for line in told[0]["lines"]] == ["one", "three"]


@pytest.fixture
def server(root):
    put(root / "etc/deploymachine/logs.json", json.dumps({"/var/log/supervisor/*.log": "*", "/var/log/n/*.log": "n-*"}))
    supervisor = root / "var/log/supervisor"
    put(supervisor / "site-shop.log", "2026-01-31 12:00:03 ERROR", "Traceback")
    put(supervisor / "site-shop.log.1", "2026-01-31 12:00:01 rotated")
    with gzip.open(supervisor / "site-shop.log.2.gz", "wt") as file:
        file.write("untimed\n2026-01-31 11:00:00 too old\n2026-01-31 12:00:00 packed\n")
    for age, name in enumerate(("site-shop.log", "site-shop.log.1", "site-shop.log.2.gz")):
        os.utime(supervisor / name, (SINCE + 9 - age, SINCE + 9 - age))
    put(root / "var/log/n/access.log", "2026/01/31 12:00:02 a request")
    put(root / "journal", entry(2_500_000, "it stood in the journal"))
    put(root / "later", entry(9_000_000, "the journal again"))
    return root


def entry(microseconds: int, text: str) -> str:
    when = int(SINCE * 1_000_000) + microseconds
    return json.dumps({"__REALTIME_TIMESTAMP": str(when), "__CURSOR": "c1", "SYSLOG_IDENTIFIER": "x", "MESSAGE": text})


def test_a_server_tells_what_its_journal_and_its_files_hold(server):
    found = history(Own(Wanted(asked()), "appnode1"))
    assert [line.text.split(" ", 2)[-1] for line in found] == [
        "packed",
        "rotated",
        "a request",
        "in the journal",
        "ERROR",
        "Traceback",
    ]
    assert {line.program for line in found} == {"site-shop", "n-access", "x"}
    assert f"--since=@{SINCE:.6f}" in (server / "asked").read_text()


def test_a_server_goes_on_telling(server):
    news = []
    with closing(Own(Wanted(asked()), "appnode1")) as source:
        list(source.history())
        put(server / "var/log/supervisor/site-shop.log", "2026-01-31 12:00:04 INFO", "untimed")
        while "the journal again" not in news:
            news += texts(source.news())
    assert sorted(news) == ["2026-01-31 12:00:04 INFO", "the journal again", "untimed"]
    assert "--after-cursor=c1" in (server / "asked").read_text()


def test_nothing_goes_on_when_nobody_listens(server):
    told = []

    def emit(event):
        told.append(event)
        if event["event"] == "log-pulse":
            raise BrokenPipeError

    assert logs.main(asked(follow=True), emit) == 0
    assert "log-caught-up" in {event["event"] for event in told}
    assert told[-1]["event"] == "log-pulse"


def test_a_file_that_is_rotated_or_cut_is_read_on(tmp_path):
    path = tmp_path / "x.log"
    tail = Tail(str(path))
    assert list(tail.lines()) == []
    put(path, "one")
    with path.open("a") as file:
        file.write("tw")
    assert list(tail.lines()) == ["one"]
    with path.open("a") as file:
        file.write("o\nthree\n")
    path.rename(tmp_path / "x.log.1")
    put(path, "four")
    assert list(tail.lines()) == ["two", "three", "four"]
    path.write_text("5\n")
    assert list(tail.lines()) == ["5"]
    tail.close()


def test_what_is_old_is_skipped_quickly_and_nothing_else(tmp_path):
    path = tmp_path / "x.log"
    lines = [f"{number:09}" if number % 7 == 0 else "  a traceback" for number in range(NEAR)]
    put(path, *lines)
    tail = Tail(str(path))
    tail.skip_to(lambda text: text >= "000060000" if text[0] == "0" else None)
    found = list(tail.lines())
    assert len(found) < NEAR / 2
    assert lines[60_004:] == found[-len(lines[60_004:]) :]
    tail.close()
