"""A moving database in, the moment in which it changes hands out; every step is asked for, and answered.

At no time can both be written to. Until the old server has acknowledged its fence nobody promotes the new one, and
until the new one is known to be fenced or a replica nobody takes the old one's fence away.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

from deploymachine.cook import cook
from deploymachine.errors import ConnectError, ConvergeError, DeployMachineError
from deploymachine.inventory import Server
from deploymachine.servertypes import _database
from deploymachine.split.part import Moving, Switched
from deploymachine.split.partakers import (
    UNREACHABLE,
    Partakers,
    Told,
    all_sites,
    ask_keeper,
    everybody,
    poolers,
    standing,
)
from deploymachine.split.proof import compared

HOLD = 5.0  # seconds that sites may take to come to a rest, and the new server to have what they wrote
PROMOTION = 30.0
SUM = 3600.0  # seconds that counting and summing may take
KNOWN = 60.0  # seconds that a server may be away at the moment of which it alone knows how it ended


class StuckError(DeployMachineError):
    """Who may lead depends on a server that does not answer. Nothing is lost, and nobody leads until it is known."""


def refuse_two_primaries(moving: Moving, old: Told, new: Told) -> None:
    """Raises ConvergeError: that is for a person to look at."""
    if old["role"] == new["role"] == "primary":
        raise ConvergeError(
            f"{moving.old.name} and {moving.new.name} both say that they lead",
            why="somebody promoted one by hand",
            hint="compare what they have; `fab dbserver postgresql.follow --server NAME` gives one of them up",
        )


def hand_over(moving: Moving, old: Told, new: Told) -> Switched:
    """From both at work to the new one leading. Raises; before the fence everything is as it was then."""
    if (old["role"], new["role"]) != ("primary", "replica"):
        raise ConvergeError(
            f"{moving.new.name} can't take over from {moving.old.name}",
            why=f"{moving.old.name} is {old['role']}, {moving.new.name} is {new['role']}",
            hint="`fab dbserver postgresql.state` shows both; the one that does not run has to run first",
        )
    with everybody(moving) as there:
        proof = _compare(there)
        return Switched(_change(there), proof)


def go_on(moving: Moving, end: int) -> None:
    """The old one is fenced, and the new one has all that it wrote up to `end`: it leads. Raises."""
    ask_keeper(moving.new, "promote", moving, PROMOTION * 2, lsn=end, limit=PROMOTION)


def repoint(moving: Moving) -> Switched:
    """The new one leads already: have all sites know. Raises."""
    with all_sites(moving) as there:
        there.sites("ready", 60)
        there.sites("prove")
        there.sites("resume", to="new")
        there.sites("settle")
    return Switched(0.0, (f"{moving.new.name} leads already; every site writes there",))


def take_back(moving: Moving, new: Told) -> None:
    """Undo the old one's fence, where the new one does not lead, or is off for good. Raises."""
    if new["role"] == "replica":
        _fence_new(moving)
    ask_keeper(moving.old, "take_back", moving, PROMOTION * 2)
    led = replace(moving.deployment, leads=moving.old.name)
    cook(poolers(led), led, moving.report, recipes=("pgbouncer",))
    with all_sites(moving) as there:
        there.sites("resume")


def _compare(there: Partakers) -> tuple[str, ...]:
    """Have both servers seize one moment, in which sites are held, and compare what they see in it."""
    moving = there.moving
    moving.report.phase(moving.new, "compare")
    there.both("keeper", "ready", 60)
    there.both("prover", "ready", 60)
    there.sites("ready", 60)
    try:
        _pause(there)
        at = there.old.ask("keeper", "written")["lsn"]
        there.old.ask("prover", "seize")
        there.new.ask("keeper", "reach", HOLD * 2, lsn=at, limit=HOLD)
        there.new.ask("prover", "seize", hold=True)
        there.sites("resume")
        parts = there.old.ask("prover", "plan", 60)["parts"]
        old, new = there.both("prover", "digest", SUM, parts=parts)
        return compared(old, new, (moving.old.name, moving.new.name))
    finally:
        with suppress(DeployMachineError):  # they do it by themselves as well
            there.both("prover", "release")


def _change(there: Partakers) -> float:
    """The moment itself; how long sites were held, in seconds."""
    moving = there.moving
    there.old.ask("keeper", "ready", 60)
    there.new.ask("keeper", "ready", 60, slot=_database.slot(moving.old.name))
    there.old.ask("keeper", "checkpoint", 900)
    moving.report.phase(moving.old, "hand over")
    began = time.monotonic()
    _pause(there)
    at = there.old.ask("keeper", "written")["lsn"]
    there.new.ask("keeper", "reach", HOLD * 2, lsn=at, limit=HOLD)
    end = there.old.ask("keeper", "stop", 60)["lsn"]
    there.new.ask("keeper", "reach", HOLD * 2, lsn=end, limit=HOLD, beyond=True)
    _fence_old(there, end)
    _lead(there, end)
    pause = time.monotonic() - began
    moving.report.phase(moving.new, "take over")
    with suppress(DeployMachineError):  # it holds without, and who is away is told when it is cooked
        there.ask_again(moving.old, "settle", 60)
    there.tried("settle")
    return pause


def _pause(there: Partakers) -> None:
    """Hold all sites. Raises ConvergeError, and who held them up, with nobody held any more."""
    try:
        there.sites("pause", HOLD * 3, limit=HOLD)
    except ConvergeError as error:
        there.tried("resume")
        busy = there.old.ask("keeper", "holders")["holders"] or []
        raise ConvergeError(
            "Sites could not be held: somebody is in the middle of something",
            why=error.why or error.what,
            hint="`fab dbserver postgresql.activity` shows them; try again when they are done.\n"
            'Where DATABASES says "pooling": "session", every connection that a site keeps open holds it up',
            evidence=[_busy(one) for one in busy],
        ) from None


def _busy(one: Told) -> str:
    query = " ".join(one["query"].split())
    return f"{one['database']}: {one['user']}, {one['state']} for {one['seconds']} s: {query}"


def _fence_old(there: Partakers, end: int) -> None:
    """The point of no return. Raises StuckError where nobody knows whether it was reached."""
    moving = there.moving
    try:
        there.old.ask("keeper", "fence", 15, lsn=end, to=moving.new.name)
    except ConnectError as error:
        told = _until_known(moving.old, moving)
        if told["role"] == "fenced" and told.get("lsn") == end:
            return
        if told["role"] != UNREACHABLE:
            raise
        raise StuckError(
            f"{moving.old.name} was told to give its databases up, and does not answer any more",
            where=moving.old.where,
            why=error.what,
            hint=f"{moving.new.name} has all that was written, and nobody leads. When {moving.old.name} is back:\n"
            "run it again, and it goes on. If it never comes back, and is off for sure:\n"
            f"`fab dbserver postgresql.promote --server {moving.new.name} --yes-i-mean-it {moving.old.name}`",
        ) from None


def _lead(there: Partakers, end: int) -> None:
    """Have the new one lead, try it, and let sites go. Where it can't be written to the old one leads again.

    A site whose server is gone by now finds the new one by itself.
    """
    moving = there.moving
    try:
        there.ask_again(moving.new, "promote", PROMOTION * 2, lsn=end, limit=PROMOTION)
        refused = [one.error for one in there.tried("prove") if isinstance(one.error, ConvergeError)]
        if refused:
            raise refused[0]
    except ConnectError as error:
        raise _unknown(moving, error) from None
    except DeployMachineError:
        _fence_new(moving, there)
        there.ask_again(moving.old, "take_back", PROMOTION * 2)
        there.tried("resume", to="old")
        raise
    there.tried("resume", to="new")


def _fence_new(moving: Moving, there: Partakers | None = None) -> None:
    """Have the new one never lead, so that the old one may. Raises StuckError where it does not say so."""

    def ask(do: str, seconds: float, **more: object) -> Told:
        if there is not None:
            return there.ask_again(moving.new, do, seconds, **more)
        return ask_keeper(moving.new, do, moving, seconds, **more)

    try:
        ask("give_up", 90, to=moving.old.name)
        ask("settle", 60)
    except DeployMachineError as error:
        raise _unknown(moving, error) from None


def _unknown(moving: Moving, error: DeployMachineError) -> StuckError:
    return StuckError(
        f"Nobody knows whether {moving.new.name} leads already: it does not answer",
        where=moving.new.where,
        why=error.what,
        hint=f"{moving.old.name} has all that was written, and has given it up. When {moving.new.name} is back:\n"
        f"run it again, and it goes on; or have {moving.old.name} lead again, if {moving.new.name} is off for good",
    )


def unknown(server: Server, old: Told, new: Told) -> StuckError:
    """What can't be decided as long as that server does not answer."""
    return StuckError(
        f"{server.name} does not answer, so nobody knows whether it leads",
        where=server.where,
        why=f"the old one is {old['role']}, the new one is {new['role']}",
        hint=f"have it answer (`fab openstack_boot {server.name}` where it is off), then run it again. If it is lost\n"
        f"for good, delete it, so that it never comes back: `--abort --delete` where it is new, else\n"
        f"`fab openstack_kill {server.name}` and --abort. What was written there alone is lost with it",
    )


def unfit(server: Server, old: Told, new: Told) -> ConvergeError:
    """Nobody is made to lead where what both say of themselves does not tell how it came to that."""
    return ConvergeError(
        f"{server.name} can't lead again",
        where=server.where,
        why=f"the old one is {old['role']}, the new one is {new['role']}",
        hint="`fab dbserver postgresql.state` shows both; the one that does not run has to run first",
    )


def _until_known(server: Server, moving: Moving) -> Told:
    """What it says it is, as soon as it answers and has come to an end."""
    until = time.monotonic() + KNOWN
    while True:
        told = standing(server, moving)
        if told["role"] not in (UNREACHABLE, "stopped") or time.monotonic() > until:
            return told
        time.sleep(0.5)
