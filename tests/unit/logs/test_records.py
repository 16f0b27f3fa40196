"""What a server's own log says of a run: what it changed, what failed, how it ended, and nothing else."""

from __future__ import annotations

import syslog

import pytest
from records import recorder, sentence

CHANGED = {
    "event": "resource-done",
    "type": "File",
    "name": "/etc/x",
    "state": "changed",
    "changes": ["mode 0644 -> 0600", "content 3 -> 5 bytes"],
    "diff": "+a line that is nobody's business\n",
}
FAILED = {"event": "step-done", "step": "migrate", "state": "failed", "error": {"message": "no such table"}}
DONE = {"event": "run-done", "state": "ok", "totals": {"ok": 80, "changed": 1, "failed": 0}, "ms": 1234.5}


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (CHANGED, "File[/etc/x] changed: mode 0644 -> 0600; content 3 -> 5 bytes"),
        ({**CHANGED, "state": "ok"}, None),
        ({**CHANGED, "state": "would-change"}, None),
        (FAILED, "step migrate failed: no such table"),
        ({**FAILED, "state": "changed", "error": None, "detail": "main 3acb"}, "step migrate changed: main 3acb"),
        ({"event": "failure", "what": "a", "where": "", "why": "b"}, "a: b"),
        (DONE, "run ended: ok (80 ok, 1 changed) in 1.2 s"),
        ({"event": "run-begun"}, None),
    ],
)
def test_an_event_and_its_line(event, text):
    assert sentence(event) == text


@pytest.mark.parametrize(
    ("request_", "lines"),
    [
        ({"command": "cook"}, [(syslog.LOG_INFO, "File[/etc/x] changed: mode 0644 -> 0600; content 3 -> 5 bytes")]),
        ({"command": "release"}, [(syslog.LOG_INFO, "File[/etc/x] changed: mode 0644 -> 0600; content 3 -> 5 bytes")]),
        ({"command": "cook", "dry_run": True}, []),
        ({"command": "guard"}, []),
    ],
)
def test_only_runs_that_act_are_recorded(monkeypatch, request_, lines):
    told = []
    monkeypatch.setattr(syslog, "syslog", lambda priority, text: told.append((priority, text)))
    recorder(request_)(CHANGED)
    assert told == lines


def test_failures_are_errors(monkeypatch):
    told = []
    monkeypatch.setattr(syslog, "syslog", lambda priority, text: told.append(priority))
    recorder({"command": "cook"})(FAILED)
    recorder({"command": "cook"})({"event": "failure", "what": "x"})
    assert told == [syslog.LOG_ERR] * 2
