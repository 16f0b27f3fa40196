"""A Change and its deployments in, what has to move from which server to which out. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment, _database, broker
from deploymachine.split.part import CACHE, DATABASE, MEDIA, QUEUES
from deploymachine.split.shapes import Change
from deploymachine.split.states import AFTER, BEFORE, deployment_in, foreseen


@dataclass(frozen=True)
class Move:
    """One part on its way. part: one of KINDS. old, new: servers' names."""

    part: str
    old: str
    new: str

    @property
    def step(self) -> str:
        """What the step is called that switches it."""
        return f"switch {self.part} {self.old} {self.new}"


def moves(change: Change, deployment: Deployment) -> list[Move]:
    """What has to move, in the order in which it is switched. deployment: as it is before the change."""
    there = foreseen(change, deployment)
    before, after = deployment_in(BEFORE, change, there), deployment_in(AFTER, change, there)
    found = [
        *_queues(before, after),
        *_cache(before, after),
        *_media(change, after),
        *_database_move(change, before, after),
    ]
    return list(dict.fromkeys(found))


def ends(change: Change, deployment: Deployment) -> list[str]:
    """The plain types that nobody does any more afterwards, and that the sites can be served without."""
    there = foreseen(change, deployment)
    after = deployment_in(AFTER, change, there)
    lost = dict.fromkeys(part for name in change.before for part in change.loses(name))
    return [part for part in lost if not after.inventory.serving(part)]


def _queues(before: Deployment, after: Deployment) -> Iterator[Move]:
    """The broker; and who begins what is done at set times, where there is such: CRON, and the beats of a tasknode."""
    pairs = [(broker.node(before), broker.node(after))]
    # From appnode to appnode CRON goes with the visitors: see `media`.
    if before.inventory.serving("tasknode") or (before.settings.CRON and after.inventory.serving("tasknode")):
        pairs.append((before.first("tasknode", "appnode"), after.first("tasknode", "appnode")))
    for old, new in pairs:
        if old is not None and new is not None and old.name != new.name:
            yield Move(QUEUES, old.name, new.name)


def _cache(before: Deployment, after: Deployment) -> Iterator[Move]:
    old, new = before.first("cachenode"), after.first("cachenode")
    if old is not None and new is not None and old.name != new.name:
        yield Move(CACHE, old.name, new.name)


def _media(change: Change, after: Deployment) -> Iterator[Move]:
    """From every server that serves sites no more to those that begin to, else to the first that does."""
    gaining = [name for name in change.after if "appnode" in change.gains(name)]
    first = after.first("appnode")
    for name in change.before:
        if "appnode" in change.loses(name):
            for new in gaining or ([first.name] if first is not None else []):
                yield Move(MEDIA, name, new)


def _database_move(change: Change, before: Deployment, after: Deployment) -> Iterator[Move]:
    """From the primary, where it keeps databases no more, to one that begins to, else to a copy that is there."""
    leads = _database.primary(before)
    if leads is None or "dbserver" not in change.loses(leads.name):
        return
    gaining = (server for server in after.inventory.serving("dbserver") if "dbserver" in change.gains(server.name))
    new: Server | None = next(gaining, None) or after.first("dbserver")
    if new is not None:
        yield Move(DATABASE, leads.name, new.name)
