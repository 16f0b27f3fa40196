"""What leaves the server when: the stream is a pipe, and somebody reads it or has gone."""

from __future__ import annotations

import json
import os
import select

import pytest
import sending

RESOURCE = {"event": "resource-done", "name": "/etc/x", "state": "ok"}
CHANGED = {**RESOURCE, "state": "changed"}
OTHER = {"event": "run-done"}


@pytest.fixture
def pipe(monkeypatch):
    """A sender and the end of its pipe that is read; a moment lasts until the test ends, unless it says otherwise."""
    monkeypatch.setattr(sending, "MOMENT", 3600)
    end, start = os.pipe()
    with os.fdopen(start, "w", encoding="utf-8") as stream, os.fdopen(end, "rb", buffering=0) as reader:
        sender = sending.Sender(stream, lambda _event: None)
        yield sender, reader
        sender.close()


def there(reader) -> list[dict[str, object]]:
    if not select.select([reader], [], [], 0)[0]:
        return []
    return [json.loads(line) for line in os.read(reader.fileno(), 65536).splitlines()]


def test_what_resources_say_is_gathered_and_goes_out_in_order_before_anything_else(pipe):
    sender, reader = pipe
    sender(RESOURCE)
    sender(RESOURCE)
    assert there(reader) == []
    sender(OTHER)
    assert there(reader) == [RESOURCE, RESOURCE, OTHER]


def test_a_resource_that_takes_long_is_seen_before_it_is_done(pipe, monkeypatch):
    monkeypatch.setattr(sending, "MOMENT", 0.001)
    sender, reader = pipe
    sender(RESOURCE)
    assert select.select([reader], [], [], 10)[0]
    assert there(reader) == [RESOURCE]


def test_a_change_goes_out_at_once(pipe):
    sender, reader = pipe
    sender(CHANGED)
    assert there(reader) == [CHANGED]


def test_whether_a_change_is_still_heard_is_known_before_the_next_step_begins():
    end, start = os.pipe()
    os.close(end)
    stream = os.fdopen(start, "w", encoding="utf-8")
    with pytest.raises(BrokenPipeError):
        sending.Sender(stream, lambda _event: None)(CHANGED)
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_the_end_sends_what_is_left(pipe):
    sender, reader = pipe
    sender(RESOURCE)
    sender.close()
    assert there(reader) == [RESOURCE]


def test_a_run_ends_when_nobody_reads_any_more():
    end, start = os.pipe()
    os.close(end)
    stream = os.fdopen(start, "w", encoding="utf-8")
    sender = sending.Sender(stream, lambda _event: None)
    sender(RESOURCE)
    sender.close()
    with pytest.raises(BrokenPipeError):
        sender(RESOURCE)
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_secrets_are_neither_sent_nor_recorded(pipe, monkeypatch):
    sender, reader = pipe
    recorded: list[object] = []
    sender.record = recorded.append
    monkeypatch.setattr(sending.secrets, "redact", lambda text: text.replace("hunter2", "***"))
    sender({"event": "failure", "why": ["hunter2"], "error": {"output": ("x hunter2",)}})
    assert there(reader) == recorded == [{"event": "failure", "why": ["***"], "error": {"output": ["x ***"]}}]
