"""A moving database in, the moment in which it changes hands out; every step is asked for, answered, and told.

At no time can both be written to. Until the old server has acknowledged its fence nobody promotes the new one, and
until the new one is known to be fenced or a replica nobody takes the old one's fence away.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from deploymachine import databases
from deploymachine.cook import cook
from deploymachine.errors import ConnectError, ConvergeError, DeployMachineError
from deploymachine.inventory import Server
from deploymachine.secrets import on_the_wire
from deploymachine.servertypes import Deployment, _database
from deploymachine.sessions import Session, sessions
from deploymachine.split.part import Moving, Switched
from deploymachine.split.proof import compared
from deploymachine.ssh import on_each, values

HOLD = 5.0  # seconds that sites may take to come to a rest, and the new server to have what they wrote
PROMOTION = 30.0
DEAD_MAN = 60.0  # seconds after which the old server's systemd undoes a stop
SUM = 3600.0  # seconds that counting and summing may take
Told = dict[str, Any]


class StuckError(DeployMachineError):
    """Who may lead depends on a server that does not answer. Nothing was promoted, and nothing is lost."""


@dataclass(frozen=True)
class Held:
    """The conversations with all that take part."""

    moving: Moving
    sessions: dict[str, Session]

    @property
    def old(self) -> Session:
        return self.sessions[self.moving.old.name]

    @property
    def new(self) -> Session:
        return self.sessions[self.moving.new.name]

    @property
    def poolers(self) -> list[Session]:
        return [self.sessions[node.name] for node in poolers(self.moving.deployment)]

    def each(self, sessions: Sequence[Session], part: str, do: str, seconds: float = 30.0, **more: Any) -> list[Told]:
        """Have several do the same at once; what they answer. Raises what went wrong after all were tried."""
        by_name = {session.server: session for session in sessions}
        return values(on_each(list(by_name), lambda server: by_name[server].ask(part, do, seconds, **more)))


def poolers(deployment: Deployment) -> list[Server]:
    """Those whose sites ask for databases. What is off asks for nothing, and is told when it is cooked."""
    nodes = _database.nodes(deployment) if deployment.settings.DATABASES else []
    return [node for node in nodes if node.state == "ACTIVE"]


def standing(server: Server, moving: Moving) -> Told:
    """What a server says it is; role "unreachable" where it does not answer."""
    try:
        return databases.look(server, "standing", moving.deployment)
    except ConnectError as error:
        return {"role": "unreachable", "why": error.what}


def refuse_two_primaries(moving: Moving, old: Told, new: Told) -> None:
    """Raises ConvergeError: that is for a person to look at."""
    if old["role"] == new["role"] == "primary":
        raise ConvergeError(
            f"{moving.old.name} and {moving.new.name} both say that they lead",
            why="somebody promoted one by hand",
            hint="compare what they have; `fab dbserver postgresql.follow --server NAME` gives one of them up",
        )


def hand_over(moving: Moving, old: Told, new: Told) -> Switched:
    """From wherever it stands to the new one leading. Raises."""
    if new["role"] == "primary":
        return _repoint(moving)
    if old["role"] == "fenced" and new["role"] == "replica":
        return _go_on(moving, int(old["lsn"]))
    if (old["role"], new["role"]) != ("primary", "replica"):
        raise _neither(moving, old, new)
    with sessions(_requests(moving), moving.deployment) as opened:
        held = Held(moving, opened)
        proof = _compare(held)
        return Switched(_change(held), proof)


def take_back(moving: Moving, new: Told) -> None:
    """Undo a fence of the old one, where the new one can't lead; sites are let go by themselves. Raises."""
    both = [moving.old] if new["role"] == "unreachable" else [moving.old, moving.new]
    with sessions({server: _keeping() for server in both}, moving.deployment) as opened:
        held = Held(moving, opened)
        if new["role"] == "replica":
            _fence_new(held)
        held.old.ask("keeper", "take_back", PROMOTION * 2)
    led = replace(moving.deployment, leads=moving.old.name)
    cook(poolers(led), led, moving.report, recipes=("pgbouncer",))
    with sessions(_requests(moving, poolers_only=True), moving.deployment) as opened:
        held = Held(moving, opened)
        held.each(held.poolers, "pooler", "resume")


def _compare(held: Held) -> tuple[str, ...]:
    """Have both servers seize one moment, and compare what they see in it."""
    pair, names = [held.old, held.new], (held.moving.old.name, held.moving.new.name)
    held.moving.report.phase(held.moving.new, "compare")
    held.each(pair, "prover", "ready")
    held.each(pair, "keeper", "ready", 60)
    held.each(held.poolers, "pooler", "ready", 60)
    try:
        _pause(held)
        at = held.old.ask("keeper", "written")["lsn"]
        held.old.ask("prover", "seize")
        held.new.ask("keeper", "reach", HOLD * 2, lsn=at, limit=HOLD)
        held.new.ask("prover", "seize", hold=True)
        held.each(held.poolers, "pooler", "resume")
        old, new = held.each(pair, "prover", "digest", SUM)
        return compared(old, new, names)
    finally:
        held.each(pair, "prover", "release")


def _change(held: Held) -> float:
    """The moment itself; how long sites were held, in seconds."""
    moving = held.moving
    held.each([held.old, held.new], "keeper", "ready", 60)
    held.old.ask("keeper", "checkpoint", 900)
    moving.report.phase(moving.old, "hand over")
    began = time.monotonic()
    _pause(held)
    at = held.old.ask("keeper", "written")["lsn"]
    held.new.ask("keeper", "reach", HOLD * 2, lsn=at, limit=HOLD)
    end = held.old.ask("keeper", "stop", 60)["lsn"]
    held.new.ask("keeper", "reach", HOLD * 2, lsn=end, limit=HOLD, beyond=True)
    _fence_old(held, end)
    _lead(held, end)
    pause = time.monotonic() - began
    moving.report.phase(moving.new, "take over")
    held.old.ask("keeper", "settle", 60)
    held.each(held.poolers, "pooler", "settle")
    return pause


def _pause(held: Held) -> None:
    """Hold all sites. Raises ConvergeError, and who held them up, with nobody held any more."""
    try:
        held.each(held.poolers, "pooler", "pause", HOLD * 3, limit=HOLD)
    except DeployMachineError as error:
        held.each(held.poolers, "pooler", "resume")
        busy = held.old.ask("keeper", "holders")["holders"] or []
        raise ConvergeError(
            "Sites could not be held: somebody is in the middle of something",
            why=error.why or error.what,
            hint="`fab dbserver postgresql.activity` shows them; try again when they are done.\n"
            'Where DATABASES says "pooling": "session", every connection that a site keeps open holds it up',
            evidence=[_busy(one) for one in busy],
        ) from None


def _busy(one: Told) -> str:
    return f"{one['database']}: {one['user']}, {one['state']} for {one['seconds']} s: {' '.join(one['query'].split())}"


def _fence_old(held: Held, end: int) -> None:
    """The point of no return. Raises StuckError where nobody knows whether it was reached."""
    moving = held.moving
    try:
        held.old.ask("keeper", "fence", 15, lsn=end, to=moving.new.name)
    except ConnectError as error:
        told = _until_known(moving.old, moving)
        if told["role"] == "fenced":
            return
        if told["role"] == "unreachable":
            raise StuckError(
                f"{moving.old.name} was told to give its databases up, and does not answer any more",
                where=moving.old.where,
                why=error.what,
                hint=f"{moving.old.name} has everything, {moving.new.name} has all of it, too, and nobody leads yet;\n"
                "--resume asks again and goes on, --abort has the old one lead again",
            ) from None
        raise


def _lead(held: Held, end: int) -> None:
    """Have the new one lead, try it, and let sites go. Where that fails the old one leads again."""
    try:
        held.new.ask("keeper", "promote", PROMOTION * 2, lsn=end, limit=PROMOTION)
        held.each(held.poolers, "pooler", "prove")
    except ConnectError as error:
        raise _unknown(held.moving, error) from None
    except DeployMachineError:
        _fence_new(held)
        held.old.ask("keeper", "take_back", PROMOTION * 2)
        held.each(held.poolers, "pooler", "resume", to="old")
        raise
    held.each(held.poolers, "pooler", "resume", to="new")


def _fence_new(held: Held) -> None:
    """Have the new one never lead, so that the old one may. Raises StuckError where it does not say so."""
    try:
        end = held.new.ask("keeper", "stop", 60)["lsn"]
        held.new.ask("keeper", "fence", 15, lsn=end, to=held.moving.old.name)
        held.new.ask("keeper", "settle", 60)
    except DeployMachineError as error:
        raise _unknown(held.moving, error) from None


def _unknown(moving: Moving, error: DeployMachineError) -> StuckError:
    return StuckError(
        f"Nobody knows whether {moving.new.name} leads already: it does not answer",
        where=moving.new.where,
        why=error.what,
        hint=f"{moving.old.name} has given its databases up, and has all that was written;\n"
        f"--resume goes on when {moving.new.name} answers, --abort has {moving.old.name} lead again where that is gone",
    )


def _until_known(server: Server, moving: Moving, seconds: float = 60.0) -> Told:
    """What it says it is, as soon as it answers and is no longer on its way."""
    until = time.monotonic() + seconds
    while True:
        told = standing(server, moving)
        if told["role"] not in ("unreachable", "stopped") or time.monotonic() > until:
            return told
        time.sleep(0.5)


def _repoint(moving: Moving) -> Switched:
    """It leads already: have all sites know."""
    with sessions(_requests(moving, poolers_only=True), moving.deployment) as opened:
        held = Held(moving, opened)
        held.each(held.poolers, "pooler", "ready", 60)
        held.each(held.poolers, "pooler", "prove")
        held.each(held.poolers, "pooler", "resume", to="new")
        held.each(held.poolers, "pooler", "settle")
    return Switched(0.0, (f"{moving.new.name} leads already; every site writes there",))


def _go_on(moving: Moving, end: int) -> Switched:
    """The old one is fenced, the new one has everything: what was cut there is finished."""
    with sessions({moving.new: _keeping()}, moving.deployment) as opened:
        opened[moving.new.name].ask("keeper", "promote", PROMOTION * 2, lsn=end, limit=PROMOTION)
    return _repoint(moving)


def _neither(moving: Moving, old: Told, new: Told) -> ConvergeError:
    return ConvergeError(
        f"{moving.new.name} can't take over from {moving.old.name}",
        why=f"{moving.old.name} is {old['role']}, {moving.new.name} is {new['role']}",
        hint="`fab dbserver postgresql.state` shows both; the one that does not run has to run first",
    )


def _requests(moving: Moving, poolers_only: bool = False) -> dict[Server, Told]:
    """What each server is asked to take part as."""
    deployment = moving.deployment
    found: dict[Server, Told] = {}
    if not poolers_only:
        found = {moving.old: _keeping(), moving.new: _keeping()}
    for node in poolers(deployment):
        request = found.setdefault(node, {"command": "switchover", "host": node.name, "parts": {}})
        request["parts"] = {**request["parts"], "pooler": _pooling(node, moving)}
    return found


def _keeping() -> Told:
    return {"command": "switchover", "parts": {"keeper": {"port": _database.PORT, "seconds": DEAD_MAN}}}


def _pooling(node: Server, moving: Moving) -> Told:
    deployment = moving.deployment
    sides = {
        side: None if keeper == node else {"address": keeper.private_ip, "port": _database.PORT}
        for side, keeper in (("old", moving.old), ("new", moving.new))
    }
    wanted = [
        {
            "name": name,
            "user": _database.login(one.owner, deployment),
            "password": _database.password(one.owner, deployment),
        }
        for name, one in deployment.settings.DATABASES.items()
    ]
    return {"sides": sides, "databases": on_the_wire(wanted)}
