"""A second connection right after sshd was told to reload: what it does with an sshd that has not done it yet."""

from __future__ import annotations

import pytest

from deploymachine import prove
from deploymachine.errors import ConnectError, HostKeyError, LoginError

WAYS = (object(), object(), object())


def refused():
    error = ConnectError("refused")
    error.__context__ = ConnectionRefusedError()
    return error


@pytest.fixture
def sshd(monkeypatch):
    """Gives each of `outcomes` in turn, the last one for good; counts the tries."""
    outcomes: list[object] = []
    tries: list[int] = []

    def connect(*_way):
        tries.append(len(tries))
        outcome = outcomes[min(len(tries), len(outcomes)) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(prove, "connect", connect)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    return outcomes, tries


@pytest.mark.parametrize("first", [refused(), HostKeyError("the key from before")])
def test_an_sshd_that_is_not_there_yet_is_tried_again(sshd, first):
    outcomes, tries = sshd
    outcomes[:] = [first, first, "connected"]
    assert prove.connect_anew(*WAYS) == "connected"
    assert len(tries) == 3


def test_a_key_that_stays_another_is_never_accepted(sshd):
    outcomes, tries = sshd
    outcomes[:] = [HostKeyError("another key")]
    with pytest.raises(HostKeyError):
        prove.connect_anew(*WAYS)
    assert len(tries) == len(prove.RELOADING_FOR) + 1


def test_a_login_that_is_refused_is_not_tried_again(sshd):
    outcomes, tries = sshd
    outcomes[:] = [LoginError("no such key")]
    with pytest.raises(LoginError):
        prove.connect_anew(*WAYS)
    assert len(tries) == 1
