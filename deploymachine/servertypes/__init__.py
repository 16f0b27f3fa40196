"""What each server type needs: (server, deployment) in, the attributes of its cookbooks out. Pure and discovered.

A module here is a server type. It may define
    PARTS       the types a combined type is made of (its own name where there are none)
    LETS_IN     the types whose servers must be cooked before one of this type can work, since they let it in
    attributes(server, deployment) -> {dotted name: value}
    keeps(server, deployment) -> what is lost with that server for good, as "its databases"; "" where nothing is
    openings(settings) -> [open_to(type, ...), open_to_anyone(...)]

Openings say who may connect to what in terms of types, not of servers. The servers' own firewalls are made from them,
with addresses, and so are the cloud's security groups, with the groups of those types.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deploymachine.inventory import Inventory, Server
    from deploymachine.secrets import Secrets
    from deploymachine.settings import Settings

TOGETHER = 60.0  # seconds between the boots of servers that count as booted at the same time


@dataclass(frozen=True)
class Opening:
    """One TCP port that others may connect to: everybody, or the servers that do the work of the type `peers`."""

    port: int
    peers: str | None
    comment: str


@dataclass(frozen=True)
class Deployment:
    """Everything a server type may look at: settings.py, the servers there are, and the secrets.

    leaving: names of servers that work on for a while, and shall lead in nothing any more.
    behind: (server name, plain type): who does that work and leads in it only where nobody else can, since it is about
    to take over, or has handed over. An appnode that is behind gets no visitors.
    leads: the name of whoever leads the databases; "": whom the note names.
    """

    settings: Settings
    inventory: Inventory
    secrets: Secrets
    leaving: frozenset[str] = frozenset()
    behind: frozenset[tuple[str, str]] = frozenset()
    leads: str = ""

    def staying(self, part: str) -> tuple[Server, ...]:
        """The servers that do the work of `part` and go on doing it. The first of them leads.

        Those come first, by name, that were booted together with the oldest: who joins, or is back, takes nothing over.
        """
        nodes = [server for server in self.inventory.serving(part) if server.name not in self.leaving]
        together = min((node.booted for node in nodes), default=0.0) + TOGETHER
        behind = self.behind
        return tuple(sorted(nodes, key=lambda node: ((node.name, part) in behind, node.booted > together, node.name)))

    def ahead(self, part: str) -> tuple[Server, ...]:
        """The servers that do the work of `part` and are not behind, by name; all of them where every one is."""
        nodes = self.inventory.serving(part)
        return tuple(node for node in nodes if (node.name, part) not in self.behind) or nodes

    def first(self, *parts: str) -> Server | None:
        """Who leads where any of several types can: the first type goes before the second, who is behind after all."""
        nodes = [(part, node) for part in parts for node in self.staying(part)]
        ahead = (node for part, node in nodes if (node.name, part) not in self.behind)
        return next(ahead, None) or next((node for _, node in nodes), None)


@cache
def names() -> tuple[str, ...]:
    """The server types there are."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


@cache
def parts(kind: str) -> tuple[str, ...]:
    """The plain types that `kind` is made of: ("loadbalancer", "appnode") for an appbalancer."""
    return tuple(getattr(_module(kind), "PARTS", (kind,))) if kind in names() else (kind,)


def lacking(kinds: Iterable[str], settings: Settings) -> tuple[str, ...]:
    """The plain types that servers of `kinds` do no work of and that the sites can't be served without."""
    needed = ["loadbalancer", "appnode"]
    if any(site.database is not None for site in settings.SITES.values()):
        needed.append("dbserver")
    there = {part for kind in kinds for part in parts(kind)}
    return tuple(part for part in needed if part not in there)


def can_serve(kinds: Iterable[str], settings: Settings) -> bool:
    """Whether servers of these types, one of each, bring the sites to their visitors."""
    return not lacking(kinds, settings)


def lets_in(kind: str) -> tuple[str, ...]:
    """The types that have to let a server of type `kind` in before it can work."""
    return tuple(dict.fromkeys(other for part in parts(kind) for other in getattr(_module(part), "LETS_IN", ())))


def attributes(server: Server, deployment: Deployment) -> dict[str, Any]:
    """The attributes of every cookbook on `server`, dotted names, derived from settings, inventory and secrets."""
    found: dict[str, Any] = _module("_base").attributes(server, deployment)
    found.update(_module("_logs").attributes(server, deployment))
    for part in parts(server.type):
        found.update(_module(part).attributes(server, deployment))
    found["base.firewall_rules"] = firewall_rules(server, deployment)
    return found


def keeps(server: Server, deployment: Deployment) -> list[str]:
    """What is lost for good with `server`: ["its databases"]; [] where all that is on it can be made again."""
    tellers = [getattr(_module(part), "keeps", None) for part in parts(server.type) if part in names()]
    return [what for teller in tellers if teller is not None and (what := teller(server, deployment))]


def firewall_rules(server: Server, deployment: Deployment) -> list[dict[str, Any]]:
    """The openings of `server` as its own firewall wants them: with the addresses of the peers there are."""
    rules = (_firewall_rule(one, deployment.inventory) for one in openings(server.type, deployment.settings))
    return [rule for rule in rules if rule is not None]


def openings(kind: str, settings: Settings) -> list[Opening]:
    """What servers of type `kind` are open to, SSH and ping aside."""
    return [one for part in parts(kind) for one in _module(part).openings(settings)]


def open_to_anyone(port: int, comment: str) -> Opening:
    """Lets everybody in at one TCP port."""
    return Opening(port, None, comment)


def open_to(kind: str, port: int, comment: str) -> Opening:
    """Lets only the servers in at one TCP port that do the work of `kind`."""
    return Opening(port, kind, comment)


def _firewall_rule(opening: Opening, inventory: Inventory) -> dict[str, Any] | None:
    """The rule with addresses; None where nobody is there to let in."""
    peers = inventory.serving(opening.peers) if opening.peers is not None else ()
    sources = sorted({peer.private_ip for peer in peers if peer.private_ip})
    if opening.peers is not None and not sources:
        return None
    return {"port": opening.port, "protocol": "tcp", "sources": sources, "comment": opening.comment}


def _module(kind: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{kind}")
