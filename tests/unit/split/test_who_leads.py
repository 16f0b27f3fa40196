"""What two servers say that they are in; out, who leads after a way back, and when nobody is told to."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from deploymachine.errors import ConvergeError
from deploymachine.inventory import Server
from deploymachine.report import LineReport
from deploymachine.servertypes import Deployment, _database
from deploymachine.split import database, handing
from deploymachine.split.part import DATABASE, GONE, Moving
from deploymachine.split.partakers import UNREACHABLE, standing
from tests.unit.split.change_world import deployment

OLD, NEW = "dbserver1", "dbserver2"


class Two:
    """The old one and the new one, which say what a test has them say; `did` is what was done about it."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        here = deployment(directory, dbserver1="dbserver", dbserver2="dbserver", appnode1="appnode")
        old, new = here.inventory.named(OLD), here.inventory.named(NEW)
        self.moving = Moving(DATABASE, old, new, here, LineReport(io.StringIO()), 0.0)
        self.says: dict[str, dict[str, Any]] = {}
        self.did: list[str] = []
        monkeypatch.setattr(database, "standing", lambda server, _moving: self.says[server.name])
        monkeypatch.setattr(handing, "take_back", lambda moving, _new: self.did.append(f"{moving.old.name} again"))
        monkeypatch.setattr(database, "switch", lambda moving: self.did.append(f"to {moving.new.name}"))
        monkeypatch.setattr(
            database, "cook", lambda servers, *_: self.did.extend(f"cook {one.name}" for one in servers)
        )
        monkeypatch.setattr(database.databases, "do", self._do)
        monkeypatch.setattr(database.databases, "look", self._look)

    def _do(self, server: Server, action: str, *_: Any) -> None:
        self.did.append(f"{action} {server.name}")
        if action == "rejoin":
            self.says[server.name] = {"role": "replica", "lsn": 50, "system": "1"}
        if action == "follow":
            self.says[server.name] = {"role": "replica", "lsn": 200, "system": "1"}

    def _look(self, server: Server, action: str, _deployment: Deployment) -> dict[str, Any]:
        return self.says[server.name] if action == "standing" else {"receiving": True}

    def say(self, old: str, new: str, keeps: int = 0) -> None:
        about = {"system": "1", "lsn": 200, "keeps": keeps}
        self.says = {OLD: {"role": old, **about}, NEW: {"role": new, **about}}

    @property
    def leads(self) -> str:
        found = _database.primary(self.moving.deployment)
        return found.name if found is not None else ""


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Two:
    return Two(tmp_path, monkeypatch)


@pytest.mark.parametrize("new", ["replica", "stopped", UNREACHABLE])
def test_who_was_never_given_up_leads_on_whatever_became_of_the_new_one(two: Two, new: str) -> None:
    two.say("primary", new)
    database.back(two.moving)
    assert two.did == []
    assert two.leads == OLD


@pytest.mark.parametrize("state", ["ACTIVE", "SHUTOFF", "ERROR"])
def test_a_fence_is_not_undone_as_long_as_the_new_one_may_come_back(two: Two, state: str) -> None:
    two.say("fenced", UNREACHABLE)
    two.moving = Moving(**{**vars(two.moving), "new": Server(NEW, "dbserver", "10.0.0.2", state=state, id="2")})
    with pytest.raises(
        handing.StuckError, match="dbserver2 does not answer, so nobody knows whether it leads"
    ) as caught:
        database.back(two.moving)
    assert "--abort --delete" in str(caught.value.hint)
    assert two.did == []


def test_a_fence_is_undone_once_the_new_one_is_deleted(two: Two) -> None:
    two.say("fenced", UNREACHABLE)
    two.moving = Moving(**{**vars(two.moving), "new": Server(NEW, "dbserver", state=GONE)})
    assert standing(two.moving.new, two.moving)["role"] == UNREACHABLE  # without asking anybody
    database.back(two.moving)
    assert two.did == ["dbserver1 again"]
    assert two.leads == OLD


def test_nobody_decides_for_a_silent_old_one(two: Two) -> None:
    two.say(UNREACHABLE, "replica")
    with pytest.raises(handing.StuckError, match="dbserver1 does not answer"):
        database.back(two.moving)
    assert two.did == []


@pytest.mark.parametrize("roles", [("replica", "stopped"), ("stopped", "replica"), ("replica", "replica")])
def test_nobody_is_taken_for_a_primary_who_is_none(two: Two, roles: tuple[str, str]) -> None:
    _database.record_primary(two.moving.new, two.moving.deployment)
    two.say(*roles)
    with pytest.raises(ConvergeError, match="dbserver1 can't lead again"):
        database.back(two.moving)
    assert two.did == []
    assert two.leads == NEW


def test_cut_off_on_the_way_back_between_fence_and_promotion_it_goes_on(two: Two) -> None:
    two.say("replica", "fenced")
    database.back(two.moving)
    assert two.did == ["to dbserver1"]


def test_two_that_lead_are_for_a_person(two: Two) -> None:
    two.say("primary", "primary")
    with pytest.raises(ConvergeError, match="both say that they lead"):
        database.back(two.moving)


def test_what_the_log_has_yet_is_followed_and_what_it_has_not_is_copied(two: Two) -> None:
    follows = ["rejoin dbserver1", "cook dbserver2", "cook dbserver1"]
    two.say("fenced", "primary", keeps=50)
    database.back(two.moving)
    assert two.did == [*follows, "to dbserver1"]
    two.did.clear()
    two.say("fenced", "primary", keeps=51)
    database.back(two.moving)
    assert two.did == [*follows, "follow dbserver1", "cook dbserver2", "cook dbserver1", "to dbserver1"]
