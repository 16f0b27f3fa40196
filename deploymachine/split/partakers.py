"""A moving database in, conversations with all who take part out: both servers, and every pgbouncer of sites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deploymachine import databases
from deploymachine.errors import ConnectError
from deploymachine.inventory import Server
from deploymachine.secrets import on_the_wire
from deploymachine.servertypes import Deployment, _database
from deploymachine.sessions import Session, sessions
from deploymachine.split.part import GONE, Moving
from deploymachine.ssh import Outcome, on_each, values

DEAD_MAN = 60.0  # seconds after which a server's systemd undoes a stop
UNREACHABLE = "unreachable"
Told = dict[str, Any]


@dataclass(frozen=True)
class Partakers:
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

    def sites(self, do: str, seconds: float = 30.0, **more: Any) -> list[Told]:
        """Have every pgbouncer do the same at once. Raises what went wrong after all were tried."""
        return values(self.tried(do, seconds, **more))

    def tried(self, do: str, seconds: float = 30.0, **more: Any) -> list[Outcome[Told]]:
        """As `sites`, with what went wrong for the caller to look at."""
        return _each(self.poolers, "pooler", do, seconds, **more)

    def both(self, part: str, do: str, seconds: float = 30.0, **more: Any) -> list[Told]:
        """Have both servers do the same at once: what the old one answers, and the new one. Raises as `sites`."""
        return values(_each([self.old, self.new], part, do, seconds, **more))

    def ask_again(self, server: Server, do: str, seconds: float, **more: Any) -> Told:
        """Have a keeper do something; over another connection where the first one is gone. Raises as Session.ask."""
        try:
            return self.sessions[server.name].ask("keeper", do, seconds, **more)
        except ConnectError:
            return ask_keeper(server, do, self.moving, seconds, **more)


def _each(asked: Sequence[Session], part: str, do: str, seconds: float, **more: Any) -> list[Outcome[Told]]:
    by_server = {session.server: session for session in asked}
    return on_each(list(by_server), lambda server: by_server[server].ask(part, do, seconds, **more))


def poolers(deployment: Deployment) -> list[Server]:
    """Those whose sites ask for databases. What is off asks for nothing, and is told when it is cooked."""
    nodes = _database.nodes(deployment) if deployment.settings.DATABASES else []
    return [node for node in nodes if node.state == "ACTIVE"]


def standing(server: Server, moving: Moving) -> Told:
    """What a server says it is: "role" and "lsn"; the role is UNREACHABLE where it does not answer, or is no more."""
    if server.state == GONE:
        return {"role": UNREACHABLE, "why": f"{server.name} is deleted"}
    try:
        return databases.look(server, "standing", moving.deployment)
    except ConnectError as error:
        return {"role": UNREACHABLE, "why": error.what}


@contextmanager
def everybody(moving: Moving) -> Iterator[Partakers]:
    """Both servers and all pgbouncers. Raises what went wrong after all were tried."""
    with _talking(moving, {moving.old: _keeping(moving.old), moving.new: _keeping(moving.new)}) as found:
        yield found


@contextmanager
def all_sites(moving: Moving) -> Iterator[Partakers]:
    """The pgbouncers alone. Raises as `everybody`."""
    with _talking(moving, {}) as found:
        yield found


def ask_keeper(server: Server, do: str, moving: Moving, seconds: float, **more: Any) -> Told:
    """Have one server's PostgreSQL do one thing. Raises as Session.ask."""
    with sessions({server: _keeping(server)}, moving.deployment) as opened:
        return opened[server.name].ask("keeper", do, seconds, **more)


@contextmanager
def _talking(moving: Moving, requests: dict[Server, Told]) -> Iterator[Partakers]:
    for node in poolers(moving.deployment):
        request = requests.setdefault(node, _request(node, {}))
        request["parts"] = {**request["parts"], "pooler": _pooling(node, moving)}
    with sessions(requests, moving.deployment) as opened:
        yield Partakers(moving, opened)


def _keeping(server: Server) -> Told:
    return _request(server, {"keeper": {"port": _database.PORT, "seconds": DEAD_MAN}})


def _request(server: Server, parts: Told) -> Told:
    return {"command": "switchover", "host": server.name, "parts": parts}


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
