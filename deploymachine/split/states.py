"""A Change and the deployment as it is in, the ordinary deployments before, during and after it out. Pure.

settings.py is not touched: these are Settings with other servers in OPENSTACK_SERVERS, in memory only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timezone

from deploymachine import servertypes
from deploymachine.inventory import Inventory, Server
from deploymachine.servertypes import Deployment
from deploymachine.settings import Settings
from deploymachine.settings_servers import BootedServer, FixedServer
from deploymachine.split.part import KINDS, TYPES
from deploymachine.split.shapes import Change

BEFORE, DURING, AFTER = "before", "during", "after"


def deployment_in(stage: str, change: Change, deployment: Deployment, switched: Iterable[str] = ()) -> Deployment:
    """The deployment of BEFORE, DURING or AFTER. switched: the parts (of KINDS) that others do already.

    During it, who is about to take a type's work over is behind until its part was switched, and who has it still
    afterwards.
    """
    kinds = {BEFORE: change.before, DURING: change.during, AFTER: change.after}[stage]
    settings = settings_with(kinds, change, deployment.settings).model_copy(update={"between": stage == DURING})
    inventory = _inventory(kinds, change, deployment.inventory)
    behind = _behind(change, frozenset(switched)) if stage == DURING else frozenset()
    return replace(deployment, settings=settings, inventory=inventory, behind=behind)


def foreseen(change: Change, deployment: Deployment) -> Deployment:
    """The deployment during the change as it will be once the new servers are there: they have no address yet."""
    now = datetime.now(timezone.utc).isoformat()
    there = {server.name for server in deployment.inventory}
    new = [Server(name, change.after[name], state="", created=now) for name in change.joining if name not in there]
    return replace(deployment, inventory=Inventory([*deployment.inventory, *new]))


def settings_with(kinds: Mapping[str, str], change: Change, settings: Settings) -> Settings:
    """The settings with the servers of the change as `kinds` (name -> type) says, the others as they are."""
    about = {*change.before, *change.after}
    known = {name: one for name, (_, one) in settings.booted().items()}
    found: dict[str, tuple[BootedServer, ...]] = {
        kind: tuple(one for one in servers if one.name not in about)
        for kind, servers in settings.OPENSTACK_SERVERS.items()
    }
    for name, kind in kinds.items():
        if (one := booted(name, change, known)) is not None:
            found[kind] = (*found.get(kind, ()), one)
    kept = {kind: servers for kind, servers in found.items() if servers or kind in settings.OPENSTACK_SERVERS}
    return settings.model_copy(update={"OPENSTACK_SERVERS": kept, "SERVERS": _fixed(kinds, about, settings)})


def _fixed(kinds: Mapping[str, str], about: set[str], settings: Settings) -> dict[str, tuple[FixedServer, ...]]:
    """SERVERS, likewise."""
    found: dict[str, tuple[FixedServer, ...]] = {}
    for listed, servers in settings.SERVERS.items():
        found.setdefault(listed, ())
        for one in servers:
            kind = kinds.get(one.name) if one.name in about else listed
            if kind is not None:
                found[kind] = (*found.get(kind, ()), one)
    return found


def booted(name: str, change: Change, known: Mapping[str, BootedServer]) -> BootedServer | None:
    """How settings.py would describe the server; a new one as the one it is like. None: not on an OpenStack."""
    newcomer = next((one for one in change.newcomers if one.name == name), None)
    if newcomer is None or name in known:
        return known.get(name) or _before(name, change)
    like = known.get(newcomer.like) or _before(newcomer.like, change)
    flavor = newcomer.flavor or (like.flavor if like is not None else "")
    if like is None:
        return BootedServer(name=name, flavor=flavor, zone=newcomer.zone or None)
    zone = newcomer.zone or like.zone
    return like.model_copy(update={"name": name, "flavor": flavor, "zone": zone, "data_volumes": ()})


def _before(name: str, change: Change) -> BootedServer | None:
    """What settings.py said of it when the change began, whatever has been written there since."""
    return BootedServer.model_validate(change.described[name]) if name in change.described else None


def _inventory(kinds: Mapping[str, str], change: Change, inventory: Inventory) -> Inventory:
    about = {*change.before, *change.after}
    typed = (replace(one, type=kinds[one.name]) if one.name in kinds else one for one in inventory)
    return Inventory(one for one in typed if one.name in kinds or one.name not in about)


def _behind(change: Change, switched: frozenset[str]) -> frozenset[tuple[str, str]]:
    part_of = {kind: part for part in KINDS for kind in TYPES[part]}
    pairs: set[tuple[str, str]] = set()
    for name, kind in change.during.items():
        for one in servertypes.parts(kind):
            done = part_of.get(one) in switched
            if one in (change.loses(name) if done else change.gains(name)):
                pairs.add((name, one))
    return frozenset(pairs)
