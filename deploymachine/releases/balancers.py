"""Appnodes that are about to change in; out come balancers that send visitors to the others meanwhile, and back after.

A switch loses no request by itself: gunicorn's old workers serve on until the new ones are ready. This sees to it that
no visitor meets a release before it has been seen to answer. So where a balancer can't be asked, or has nobody else to
send visitors to, the release goes on, and the user is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploymachine import ssh
from deploymachine.errors import DeployMachineError
from deploymachine.inventory import Server

Ask = Callable[[Server, dict[str, Any]], dict[str, Any]]


def _nobody(_server: Server, _request: dict[str, Any]) -> dict[str, Any]:
    return {}


@dataclass
class Balancers:
    """The balancers of one site. port: where it listens on the appnodes. seconds: when they undo it by themselves."""

    site: str = ""
    port: int = 0
    servers: Sequence[Server] = ()
    nodes: Sequence[Server] = ()
    ask: Ask = _nobody
    seconds: float = 300
    notes: list[str] = field(default_factory=list)
    _away: frozenset[str] = frozenset()

    def send_away_from(self, leaving: Sequence[Server]) -> None:
        """Have them send nobody to these appnodes, and again to all others. Never raises."""
        gone = frozenset(self._address(server) for server in leaving if server in self.nodes)
        everybody = {self._address(server) for server in self.nodes}
        if gone == everybody or len(everybody) < 2:
            gone = frozenset()  # where nobody else is, the old workers serve on
        if gone != self._away:
            self._tell(gone)

    def back(self, *, anyway: bool = False) -> None:
        """Have them send visitors to all again. Never raises; a balancer that can't be told is in the notes.

        anyway: also where this run sent nobody away: one that died may have.
        """
        if self._away or anyway:
            self._tell(frozenset())

    def _tell(self, gone: frozenset[str]) -> None:
        request = {"command": "balance", "site": self.site, "down": sorted(gone), "seconds": self.seconds}
        outcomes = ssh.on_each(self.servers, lambda server: self.ask(server, {**request, "host": server.name}))
        for outcome in outcomes:
            if outcome.error is not None:
                self.notes.append(self._warning(outcome.server, outcome.error, gone))
            elif note := (outcome.value or {}).get("note"):
                self.notes.append(f"{outcome.server.name}: {note}")
        self._away = gone

    def _warning(self, balancer: Server, error: DeployMachineError, gone: frozenset[str]) -> str:
        if gone:
            return f"{balancer.name} went on sending visitors to servers that were being switched: {error.what}"
        after = f"in {self.seconds:.0f} s it does so by itself; `fab server:{balancer.name} kokki` has it do so now"
        return f"{balancer.name} may not send visitors to {', '.join(sorted(self._away))} yet: {error.what}; {after}"

    def _address(self, server: Server) -> str:
        return f"{server.private_ip}:{self.port}"
