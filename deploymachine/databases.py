"""A server that keeps databases in; what it says of them, its backups, and who leads, out and changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from deploymachine.converge import Event, Result, run
from deploymachine.cook import ask, checked, cook, on_all, sudo_password
from deploymachine.errors import ConnectError, UsageError
from deploymachine.inventory import Server
from deploymachine.moments import written
from deploymachine.report import Report
from deploymachine.servertypes import Deployment, _database
from deploymachine.ssh import connect, login

if TYPE_CHECKING:
    from deploymachine.split.part import Switched


def primary_among(servers: Sequence[Server], deployment: Deployment) -> Server:
    """The selected server that the databases are written on. Raises UsageError where it is not among them."""
    found = _database.primary(deployment)
    if found is None:
        raise UsageError(
            "No server holds databases", hint="name a dbserver in OPENSTACK_SERVERS, then `fab dbserver launch`"
        )
    if found not in servers:
        raise UsageError(
            f"The databases are on {found.name}, which was not selected",
            hint=f"`fab server:{found.name} postgresql...`, or `fab {found.type} postgresql...`",
        )
    return found


def do(server: Server, action: str, deployment: Deployment, report: Report, **more: Any) -> Event:
    """Have a server do something with its databases, its steps shown; what it answers. Raises ConvergeError."""

    def one(server: Server) -> Result:
        report.phase(server, action)
        request = {"command": "database", "action": action, "host": server.name, **more}
        with connect(server, login(server, deployment.settings), deployment.settings) as connection:
            return checked(run(connection, request, report.event, sudo_password=sudo_password(server, deployment)))

    return on_all([server], report, one)[0].result


def look(server: Server, action: str, deployment: Deployment) -> Event:
    """What a server answers to a question that changes nothing. Raises ConnectError, ConvergeError."""
    request = {"command": "database", "action": action, "host": server.name}
    with connect(server, login(server, deployment.settings), deployment.settings) as connection:
        return ask(connection, request, sudo_password(server, deployment))


def moment(text: str, now: datetime) -> str:
    """ "2026-01-31 12:00" (UTC) as PostgreSQL takes it. Raises UsageError."""
    when = written("--to-time", text, now)
    if when is not None:
        return f"{when:%Y-%m-%d %H:%M:%S.%f}+00"
    raise UsageError(
        f"--to-time {text}: that is no time", hint="a date and a time of day, UTC: --to-time '2026-01-31 12:00'"
    )


@dataclass(frozen=True)
class Old:
    """Who leads before another is promoted. silent: it does not answer, and may run or not."""

    server: Server
    silent: bool

    @property
    def is_off(self) -> bool:
        """Whether its cloud says so."""
        return self.server.state == "SHUTOFF"

    @property
    def is_fixed(self) -> bool:
        """Whether no cloud can switch it off."""
        return not self.server.id


def old_primary(new: Server, deployment: Deployment) -> Old | None:
    """Who else leads, or may do so; None where nobody does. Raises UsageError where `new` can't take over."""
    if new not in deployment.inventory.serving("dbserver"):
        raise UsageError(f"{new.name} keeps no databases: it is a {new.type}")
    told = look(new, "state", deployment)
    if told["role"] not in ("replica", "primary"):
        raise UsageError(
            f"{new.name} can't lead: its PostgreSQL is {told['role']}",
            hint=f"`fab dbserver postgresql.follow --server {new.name}` makes it a replica first",
        )
    noted = _database.primary(deployment)
    answers = {peer: _answer(peer, deployment) for peer in deployment.inventory.serving("dbserver") if peer != new}
    for peer, answer in answers.items():
        if answer is None and peer == noted:
            _refuse_who_has_less(new, told, answers)
            return Old(peer, silent=True)
        role = answer["role"] if answer is not None else ""
        if role == "primary" or (role in ("stopped", "retired") and peer == noted):
            return Old(peer, silent=False)
    return None


def _answer(server: Server, deployment: Deployment) -> Event | None:
    try:
        return look(server, "state", deployment)
    except ConnectError:
        return None


def _refuse_who_has_less(new: Server, told: Event, answers: Mapping[Server, Event | None]) -> None:
    """Raises UsageError where another replica got more of what the silent primary wrote."""
    for peer, answer in answers.items():
        if answer is not None and answer["role"] == "replica" and answer["lsn"] > told["lsn"]:
            raise UsageError(
                f"{peer.name} has {answer['lsn'] - told['lsn']} bytes of log that {new.name} has not",
                hint=f"`fab dbserver postgresql.promote --server {peer.name}` loses less",
            )


def promote(new: Server, old: Old | None, deployment: Deployment, report: Report) -> Switched:
    """Have a replica lead: by a switchover from `old`, which is given up; where that is silent, or None, without it.

    A rerun goes on where it stopped.
    """
    from deploymachine.split import database, part

    if old is not None and not old.silent:
        moving = part.Moving(part.DATABASE, old.server, new, deployment, report)
        database.prepare(moving)
        return database.switch(moving)
    do(new, "promote", deployment, report, from_lsn=0)
    _database.record_primary(new, deployment)
    told = [*_database.nodes(deployment), *deployment.inventory.serving("dbserver")]
    gone = old.server if old is not None else None
    others = [one for one in dict.fromkeys(told) if one not in (new, gone) and one.state == "ACTIVE"]
    cook([new, *others], deployment, report)
    return part.Switched()


def follow(server: Server, deployment: Deployment, report: Report) -> None:
    """Make `server` a fresh copy of the primary. Raises UsageError where it leads itself, or nobody does."""
    leads = _database.primary(deployment)
    if leads is None or leads == server:
        raise UsageError(
            f"{server.name} is the primary: it has nobody to follow",
            hint="`fab dbserver postgresql.promote --server NAME` has another lead",
        )
    if look(leads, "state", deployment)["role"] != "primary":
        raise UsageError(f"{leads.name} does not lead", hint="`fab dbserver postgresql.primary` finds out who does")
    do(server, "follow", deployment, report)
    cook([leads, server], deployment, report)
