"""What the user sees of events."""

from __future__ import annotations

import io

import pytest

from deploymachine.inventory import Server
from deploymachine.report import LineReport, Report, TableReport

FAILED = {
    "event": "resource-done",
    "type": "Execute",
    "name": "certificate of blog",
    "state": "failed",
    "error": {"message": "it failed", "output": ["the name does not lead here"]},
}


@pytest.mark.parametrize("kind", [LineReport, TableReport])
def test_a_failure_that_a_run_lives_with_is_told_with_its_cause(kind: type[Report]) -> None:
    stream = io.StringIO()
    server = Server("loadbalancer1", "loadbalancer", "10.0.0.11")
    with kind(stream) as report:
        report.event(server, {**FAILED, "ignored": True})
    told = stream.getvalue()
    for words in ("loadbalancer1: Execute[certificate of blog] failed", "it failed", "the name does not lead here"):
        assert words in told


def test_one_that_ends_the_run_is_told_by_its_error() -> None:
    stream = io.StringIO()
    with LineReport(stream) as report:
        report.event(Server("loadbalancer1", "loadbalancer", "10.0.0.11"), FAILED)
    assert "does not lead here" not in stream.getvalue()
