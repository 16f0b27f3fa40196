"""Databases that follow on another server in, led by that server out: sites are held for a moment, nothing is lost.

Before the moment everybody is connected and ready, and the copy is compared. In it: sites are held, the old server
stops and says up to where its log goes, the new one has all of that, the old one is fenced for good, and only then is
the new one promoted, tried, and are sites let go. Until the fence everything puts itself back; see target/database.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from deploymachine import databases
from deploymachine.cook import cook
from deploymachine.errors import ConvergeError, UsageError
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment, _database
from deploymachine.split import handing
from deploymachine.split.part import GONE, Moving, Size, Switched
from deploymachine.split.partakers import UNREACHABLE, poolers, standing

NEAR = 16 << 20  # bytes of log that may be missing when a copy counts as there
LOOK = 1.0  # seconds between two looks at a copy
AWAY = 60.0  # seconds that a copy may be without its primary: one that went without a word is noticed after 30


def measure(moving: Moving) -> Size:
    """How large the databases are that have to be copied. Raises ConnectError, ConvergeError; UsageError where the old
    server does not lead, as before its launch has come to its end."""
    told = databases.look(moving.old, "state", moving.deployment)
    if told["role"] != "primary":
        raise UsageError(
            f"{moving.old.name} has no databases yet that could move: its PostgreSQL is {told['role']}",
            where=moving.old.where,
            hint=f"`fab server:{moving.old.name} launch` first; `fab dbserver postgresql.state` shows who leads",
        )
    size = int(told["size"] or 0)
    return Size(size, f"{size / 1e6:.0f} MB of databases (PostgreSQL {told['version']})")


def prepare(moving: Moving) -> None:
    """Have the new server follow, with all but the last of what the old one writes; repeatable.

    Raises UsageError where it is no replica, ConvergeError where it can't catch up within `moving.patience`.
    """
    old, new = _standing(moving)
    if _is_done(old, new):
        return
    if old["role"] == "fenced" and new["role"] == "replica":
        return  # cut between the fence and the promotion: it has everything already
    if new["role"] == "fenced":
        databases.do(moving.new, "rejoin", _led(moving), moving.report)
        _have_it_follow(moving)
    elif new["role"] != "replica":
        raise UsageError(
            f"{moving.new.name} can't take over: its PostgreSQL is {new['role']}",
            hint=f"`fab server:{moving.new.name} launch` makes it a replica",
        )
    _have_it_all(moving)


def switch(moving: Moving) -> Switched:
    """Have the new server lead; repeatable. Where it fails before the fence, all is as it was, and it raises.

    Raises handing.StuckError where it depends on a server that does not answer; `switch` again goes on.
    """
    old, new = _standing(moving)
    handing.refuse_two_primaries(moving, old, new)
    led = replace(moving.deployment, leads=moving.new.name)
    if (old["role"], new["role"]) == ("fenced", "replica"):
        handing.go_on(moving, int(old["lsn"]))
        new = standing(moving.new, moving)
    elif (old["role"], new["role"]) == ("primary", "replica"):
        _have_it_all(moving)  # one of them may have been away since
    cook(poolers(led), led, moving.report, phase="make ready", recipes=("pgbouncer.next",))
    switched = handing.repoint(moving) if new["role"] == "primary" else handing.hand_over(moving, old, new)
    _database.record_primary(moving.new, moving.deployment)
    cook([moving.new, *_others(moving, led)], led, moving.report)
    return switched


def back(moving: Moving) -> None:
    """Have the old server lead again, with all that was written since; repeatable. Raises as `switch`.

    A new one that does not answer must be deleted first where the old one is fenced: what is only off may be started
    again, and would lead then beside the old one.
    """
    old, new = _standing(moving)
    handing.refuse_two_primaries(moving, old, new)
    if old["role"] == UNREACHABLE:
        raise handing.unknown(moving.old, old, new)
    if old["role"] != "primary" and new["role"] == UNREACHABLE and moving.new.state != GONE:
        raise handing.unknown(moving.new, old, new)
    roles = old["role"], new["role"]
    if old["role"] != "primary" and (new["role"] == "primary" or roles == ("replica", "fenced")):
        prepare(moving.reverse)
        switch(moving.reverse)
        return
    if old["role"] == "fenced":
        handing.take_back(moving, new)
    elif old["role"] != "primary":
        raise handing.unfit(moving.old, old, new)
    _database.record_primary(moving.old, moving.deployment)


def finish(moving: Moving) -> None:
    """Remove the data that the old server gave up. Raises ConvergeError where it did not; repeatable."""
    databases.do(moving.old, "discard", moving.deployment, moving.report)


def _standing(moving: Moving) -> tuple[dict[str, Any], dict[str, Any]]:
    """What both say they are; role UNREACHABLE for one that does not answer."""
    return standing(moving.old, moving), standing(moving.new, moving)


def _is_done(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return (new["role"], old["role"] != "primary") == ("primary", True)


def _have_it_all(moving: Moving) -> None:
    """Have the copy be one of now, made afresh where what it lacks is not kept any more. Raises ConvergeError."""
    databases.look(moving.new, "replay", moving.deployment)
    if _is_lost(moving) or not _is_connected(moving):
        databases.do(moving.new, "follow", _led(moving), moving.report)
        _have_it_follow(moving)
    _catch_up(moving)


def _is_connected(moving: Moving) -> bool:
    """Whether the copy is sent what the old one writes; False: it is not kept any more.

    What a primary does not send it does not send without a word to anybody but its log: so whoever may ask for it and
    gets nothing has asked for too much. Raises ConvergeError where the copy does not reach the old one.
    """
    until = time.monotonic() + AWAY
    while _missing(moving) is None:
        if time.monotonic() > until:
            if databases.look(moving.new, "reached", moving.deployment)["reached"]:
                return False
            raise ConvergeError(
                f"{moving.new.name} does not follow {moving.old.name}: it is not connected to it",
                where=moving.new.where,
                why=f"{moving.old.name} does not answer it: the network between them, or a firewall",
                hint=f"`fab server:{moving.old.name} kokki` opens what should be open",
            )
        time.sleep(LOOK)
    return True


def _catch_up(moving: Moving) -> None:
    """Wait until the copy misses little. Raises ConvergeError."""
    began, first = time.monotonic(), None
    while (missing := _missing(moving)) is None or missing > NEAR:
        first = missing if first is None else first
        if missing is None and not _is_connected(moving):
            raise ConvergeError(
                f"{moving.new.name} does not follow {moving.old.name} any more",
                where=moving.new.where,
                why="what it lacks is not kept any more: too much was written meanwhile",
                hint=f"`fab dbserver postgresql.follow --server {moving.new.name}` makes a fresh copy",
            )
        if (waited := time.monotonic() - began) > moving.patience:
            raise ConvergeError(
                f"{moving.new.name} does not catch up with {moving.old.name}",
                where=moving.new.where,
                why=f"{_megabytes(missing)} missing after {waited:.0f} s; at first it was {_megabytes(first)}",
                hint="try again when less is written, or give it a bigger flavor or a faster disk",
            )
        time.sleep(LOOK)


def _missing(moving: Moving) -> int | None:
    """Bytes of log that the new one has not replayed; None: it gets none. Raises ConvergeError where it can't."""
    told = databases.look(moving.new, "state", moving.deployment)
    at = databases.look(moving.old, "standing", moving.deployment)
    has = databases.look(moving.new, "standing", moving.deployment)
    if (at["role"], has["role"]) != ("primary", "replica"):
        raise ConvergeError(
            f"{moving.new.name} does not follow {moving.old.name}",
            why=f"{moving.old.name} is {at['role']}, {moving.new.name} is {has['role']}",
            hint="`fab dbserver postgresql.state` shows both",
        )
    if at["system"] != has["system"]:
        raise ConvergeError(f"{moving.new.name} is no copy of {moving.old.name}, but of another server")
    return max(0, int(at["lsn"]) - int(has["lsn"])) if told.get("receiving") else None


def _megabytes(size: int | None) -> str:
    return "an unknown number of MB" if size is None else f"{size / 1e6:.0f} MB"


def _led(moving: Moving) -> Deployment:
    return replace(moving.deployment, leads=moving.old.name)


def _have_it_follow(moving: Moving) -> None:
    """Have the old one let the new one in, and that one follow, copied afresh where it has nothing."""
    for server in (moving.old, moving.new):
        cook([server], _led(moving), moving.report)


def _is_lost(moving: Moving) -> bool:
    """Whether the old one does not keep any more what the new one, which follows, would have to be told next."""
    at, has = _standing(moving)
    return at["role"] == "primary" and has["role"] == "replica" and int(has["lsn"]) < int(at["keeps"])


def _others(moving: Moving, led: Deployment) -> list[Server]:
    """Those besides the two to whom it matters who leads: sites, and replicas that shall follow another one now."""
    keepers = [keeper for keeper in led.inventory.serving("dbserver") if keeper.state == "ACTIVE"]
    found = dict.fromkeys([*poolers(led), *keepers])
    return [server for server in found if server not in (moving.old, moving.new)]
