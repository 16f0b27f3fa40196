"""What programs write into their logs: when it was, whose it is, and which of it is wanted."""

from __future__ import annotations

import json

import pytest
from logs.lines import Wanted, of_file, of_journal, of_lognode, site_of, time_in

NOON = "2026-01-31T12:00:00.000000+00:00"


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ('{"time":"2026-01-31T13:00:00+01:00","client":"192.0.2.1"}', NOON),
        ("2026/01/31 12:00:00 [error] 7#7: *1 connect() failed", NOON),
        ("2026-01-31 12:00:00.250 UTC [99] LOG:  checkpoint", "2026-01-31T12:00:00.250000+00:00"),
        ("2026-01-31 12:00:00,250 INFO spawned: 'site-blog'", "2026-01-31T12:00:00.250000+00:00"),
        ("[2026-01-31 12:00:00 +0000] [7] [INFO] Booting worker", NOON),
        ("[2026-01-31 12:00:00,250: INFO/MainProcess] ready", "2026-01-31T12:00:00.250000+00:00"),
        ('192.0.2.1 - - [31/Jan/2026:07:00:00 -0500] "GET / HTTP/1.1" 200', NOON),
        ("7:M 31 Jan 2026 12:00:00.250 * Ready to accept connections", "2026-01-31T12:00:00.250000+00:00"),
        ("2026-01-31 12:00:00.250123+00:00 [info] <0.9.0> started", "2026-01-31T12:00:00.250123+00:00"),
        ('  File "/srv/sites/blog/current/views.py", line 3', None),
        ("2026-13-45 99:00:00 nonsense", None),
        ("x" * 200 + " 2026-01-31 12:00:00", None),
    ],
)
def test_a_line_says_when_it_was_written(text, when):
    assert time_in(text) == when


def test_a_traceback_belongs_to_the_line_before_it():
    texts = ["torn off", "2026-01-31 12:00:00,000 ERROR x", "Traceback (most recent call last):", "ValueError"]
    whens = [line.when for line in of_file(texts, "appnode1", "site-blog", otherwise="")]
    assert whens == ["", NOON, NOON, NOON]


def test_times_never_go_back_within_a_file():
    texts = ["2026-01-31 12:00:00 b", "2026-01-31 11:59:59 a"]
    assert [line.when for line in of_file(texts, "s", "p", otherwise="")] == [NOON, NOON]


@pytest.mark.parametrize(
    ("program", "site"),
    [
        ("site-shop", "shop"),
        ("nginx-site-shop", "shop"),
        ("site-shop-eu", "shop-eu"),
        ("celery-shop-eu-mail", "shop-eu"),
        ("celery-shop@appnode1", "shop"),
        ("site-workshop", None),
        ("sshd", None),
    ],
)
def test_a_program_is_the_sites_with_the_longest_name_in_it(program, site):
    assert site_of(program, ["shop", "shop-eu"]) == site


def test_the_journals_entries():
    entry = {"__REALTIME_TIMESTAMP": "1769860800250000", "SYSLOG_IDENTIFIER": "a b", "MESSAGE": "one\ntwo"}
    bytes_entry = {**entry, "MESSAGE": [104, 105, 255], "SYSLOG_IDENTIFIER": None, "_COMM": "prog"}
    found = list(of_journal(map(json.dumps, [entry, bytes_entry, {**entry, "MESSAGE": None}]), "s"))
    assert found[0] == ("2026-01-31T12:00:00.250000+00:00", "s", "a_b", "one\\ntwo")
    assert found[1][2:] == ("prog", "hi\ufffd")
    assert found[2].text == ""


def test_a_lognodes_lines():
    (line,) = of_lognode([f"{NOON} s/p: a: b"], "s", "p")
    assert line == (NOON, "s", "p", "a: b")


def request(**asked):
    return {"since": 1769860800.0, "servers": None, "site": None, "sites": ["shop"], "grep": None, **asked}


def test_only_what_was_asked_for():
    (line,) = of_lognode([f"{NOON} s/site-shop: a [x] b"], "s", "site-shop")
    assert Wanted(request())(line)
    assert not Wanted(request(since=1769860801.0))(line)
    assert Wanted(request(grep="[x]"))(line)
    assert Wanted(request(grep="s/site-shop: a"))(line)
    assert not Wanted(request(grep="A"))(line)
    assert Wanted(request(site="shop", servers=["s"])).of("s", "site-shop")
    assert not Wanted(request(servers=["t"])).of("s", "site-shop")
    assert not Wanted(request(site="shop")).of("s", "sshd")
