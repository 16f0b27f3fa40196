"""One site and its servers in; out come the answers of release requests, of one server or of all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from deploymachine import ssh
from deploymachine.converge import Result
from deploymachine.cook import checked
from deploymachine.errors import DeployMachineError, ReleaseError, SeveralErrors
from deploymachine.inventory import Server
from deploymachine.releases.balancers import Balancers
from deploymachine.releases.values import Request


class Run(Protocol):
    """Carries out one release request on a server; returns how it ended, raises where it could not begin or was cut."""

    def __call__(self, server: Server, request: Request, attachment: bytes = b"") -> Result: ...


@dataclass(frozen=True)
class Job:
    """One site on its servers. attributes: the site as it is on one server. tell: shows a server's phase.

    beat: tells a server that this run lives. lock, message: the lock that requests name, and why there are any.
    wheels: where those are kept here that servers have built; None: they are not.
    """

    site: str
    servers: Sequence[Server]
    attributes: Callable[[Server], Mapping[str, Any]]
    run: Run
    tell: Callable[[Server, str], None] = lambda _server, _phase: None
    by: str = ""
    now: Callable[[], datetime] = field(default=lambda: datetime.now(timezone.utc))
    beat: Callable[[Server, Request], None] = lambda _server, _request: None
    balancers: Balancers = field(default_factory=Balancers)
    lock: str = ""
    message: str = ""
    wheels: Path | None = None

    def ask(self, server: Server, action: str, attachment: bytes = b"", **more: Any) -> dict[str, Any]:
        """What the server answers to one action. Raises what went wrong there."""
        return checked(self.attempt(server, action, attachment, **more)).result

    def attempt(self, server: Server, action: str, attachment: bytes = b"", **more: Any) -> Result:
        """As `ask`, but a refusal of the server is returned. Raises where it can't be asked."""
        self.tell(server, f"{self.site}: {action}")
        return self.run(server, self.request(server, action, **more), attachment)

    def request(self, server: Server, action: str, **more: Any) -> Request:
        """One request, without any secret."""
        site = {key: value for key, value in self.attributes(server).items() if key != "environment"}
        said = {"lock_id": self.lock, "message": self.message}
        told = {"host": server.name, "by": self.by, **{key: value for key, value in said.items() if value}}
        return {"command": "release", "action": action, "site": site, **told, **more}

    def everywhere(self, work: Callable[[Server], dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Server name -> what `work` returned there, on all servers at once. Raises every error that came up."""
        outcomes = ssh.on_each(self.servers, work)
        ssh.values(outcomes)
        return {outcome.server.name: outcome.value or {} for outcome in outcomes}


def explained(error: DeployMachineError, what: str, told: Sequence[str]) -> ReleaseError:
    """The error as one of the whole release: what it means, and what became of each server (`told`)."""
    if isinstance(error, SeveralErrors):
        told = [*(line for one in error.errors for line in str(one).splitlines()), *told]
        return ReleaseError(what, why=error.what, evidence=told)
    why = "\n".join(text for text in (error.what, error.why) if text)
    return ReleaseError(what, where=error.where, why=why, hint=error.hint, evidence=[*error.evidence, *told])
