"""Sites and servers in; out they come locked by hand until somebody unlocks them, or without any lock."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from deploymachine.errors import ConvergeError, UsageError
from deploymachine.inventory import Server
from deploymachine.releases.crew import me
from deploymachine.releases.looking import Answer, answers, lock_told, plain, raised
from deploymachine.servertypes import Deployment


@dataclass(frozen=True)
class Locked:
    """A lock that lies on a server."""

    server: Server
    site: str
    lock: dict[str, Any]

    @property
    def is_working(self) -> bool:
        """Whether a deploy that lives holds it."""
        return self.lock["kind"] != "manual" and bool(self.lock["alive"])

    @property
    def told_of(self) -> str:
        who, since, message = lock_told(self.lock)
        return f"{self.site}: {who} since {since}" + (f" ({message})" if message else "")


def lock(sites: Iterable[str], servers: Sequence[Server], deployment: Deployment, message: str) -> list[str]:
    """Lock the sites on all servers, the same lock everywhere. Returns a line each; raises where one is held."""
    if not message.strip():
        raise UsageError("--message says why, to whoever deploys", hint='for example --message "a freeze until Monday"')
    wanted = {"id": uuid.uuid4().hex, "owner": me(), "pid": os.getpid(), "kind": "manual", "message": message}
    known = list(sites)
    found = answers(known, servers, deployment, "lock", lock=wanted)
    if any(answer.error for answer in found):  # a lock on some of them would be nobody's wish
        answers(known, servers, deployment, "unlock", which=wanted["id"])
    raised(found)
    return [f"{answer.server.name}: {answer.site} is locked: {plain(message)}" for answer in found]


def locked(sites: Iterable[str], servers: Sequence[Server], deployment: Deployment) -> list[Locked]:
    """The locks that there are. Raises where a server does not answer."""
    found = answers(sites, servers, deployment, "state")
    raised(found)
    return [Locked(answer.server, answer.site, lock) for answer in found if (lock := answer.told.get("lock"))]


def unlock(there: Sequence[Locked], deployment: Deployment) -> list[str]:
    """Take these locks away, and no others that came instead. Returns a line each."""
    if not there:
        return ["no site is locked there"]
    done: list[Answer] = []
    for which in sorted({(one.site, one.lock["id"]) for one in there}):
        servers = [one.server for one in there if (one.site, one.lock["id"]) == which]
        done += answers([which[0]], servers, deployment, "unlock", which=which[1])
    raised(done)
    return [_line(answer) for answer in done]


def _line(answer: Answer) -> str:
    if not answer.told.get("lock"):
        raise ConvergeError(
            f"The lock of {answer.site} on {answer.server.name} is another one by now", hint="look again"
        )
    return f"{answer.server.name}: {answer.site} is unlocked"
