"""What each server type needs: (server, deployment) in, the attributes of its cookbooks out. Pure and discovered.

A module here is a server type. It may define
    PARTS       the types a combined type is made of (its own name where there are none)
    LETS_IN     the types whose servers must be cooked before one of this type can work, since they let it in
    attributes(server, deployment) -> {dotted name: value}
    firewall(server, deployment) -> open_to(...) + open_to_anyone(...)
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


@dataclass(frozen=True)
class Deployment:
    """Everything a server type may look at: settings.py, the servers there are, and the secrets."""

    settings: Settings
    inventory: Inventory
    secrets: Secrets


@cache
def names() -> tuple[str, ...]:
    """The server types there are."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


def parts(kind: str) -> tuple[str, ...]:
    """The plain types that `kind` is made of: ("loadbalancer", "appnode") for an appbalancer."""
    return tuple(getattr(_module(kind), "PARTS", (kind,))) if kind in names() else (kind,)


def lets_in(kind: str) -> tuple[str, ...]:
    """The types that have to let a server of type `kind` in before it can work."""
    return tuple(dict.fromkeys(other for part in parts(kind) for other in getattr(_module(part), "LETS_IN", ())))


def attributes(server: Server, deployment: Deployment) -> dict[str, Any]:
    """The attributes of every cookbook on `server`, dotted names, derived from settings, inventory and secrets."""
    found: dict[str, Any] = _module("_base").attributes(server, deployment)
    for part in parts(server.type):
        found.update(_module(part).attributes(server, deployment))
    found["base.firewall_rules"] = [
        r for part in parts(server.type) for r in _module(part).firewall(server, deployment)
    ]
    return found


def open_to_anyone(port: int, comment: str) -> list[dict[str, Any]]:
    """The firewall rule that lets everybody in at one TCP port."""
    return [{"port": port, "protocol": "tcp", "sources": [], "comment": comment}]


def open_to(peers: Iterable[Server], port: int, comment: str) -> list[dict[str, Any]]:
    """The firewall rule that lets only `peers` in at one TCP port; no rule at all where there is no peer."""
    sources = sorted({peer.private_ip for peer in peers})
    return [{"port": port, "protocol": "tcp", "sources": sources, "comment": comment}] if sources else []


def _module(kind: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{kind}")
