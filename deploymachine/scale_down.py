"""Servers in; out come a site that serves on without them, peers that forgot them, and nothing of them left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from deploymachine import servertypes
from deploymachine.drain import Leaving, drain, forget
from deploymachine.handover import hand_over
from deploymachine.hostkeys import locked, pinned_names
from deploymachine.inventory import Server

if TYPE_CHECKING:
    from deploymachine.cloud import Belongings, Cloud
    from deploymachine.cloud.leaks import Leak
    from deploymachine.inventory import Inventory
    from deploymachine.servertypes import Deployment
    from deploymachine.settings import Settings

Progress = Callable[[str, str], None]


def chosen(names: Sequence[str], inventory: Inventory, belongings: Mapping[str, Belongings]) -> list[Server]:
    """The servers of those names, each once; one that is gone but for its leftovers comes without type and address."""
    known = {server.name: server for server in inventory}
    return [known.get(name, Server(name, "", state="GONE")) for name in dict.fromkeys(names) if name in belongings]


def everybody(settings: Settings, inventory: Inventory) -> list[Server]:
    """All servers that OpenStack booted for the deployment, those included of which nothing but pinned keys is left."""
    fixed = {server.name for servers in settings.SERVERS.values() for server in servers}
    gone = pinned_names(settings.directory) - fixed - {server.name for server in inventory}
    return [*inventory, *(Server(name, "", state="GONE") for name in sorted(gone))]


def telling(servers: Sequence[Server], belongings: Mapping[str, Belongings], deployment: Deployment) -> list[str]:
    """What goes and what stays, as lines for a person who is about to say yes."""
    lines = [line for server in servers for line in _lines_of(server, belongings[server.name])]
    return [*lines, *_peers(servers, deployment)]


def telling_all(servers: Sequence[Server], belongings: Mapping[str, Belongings], left: Sequence[Leak]) -> list[str]:
    """Everything of a deployment, before all of it goes; one line where there is nothing."""
    lines = [line for server in servers for line in _lines_of(server, _kept_goes(belongings[server.name]))]
    lines += [f"{leak.kind} {leak.name}: {leak.why}" for leak in left]
    here = "settings.py, the secrets and the certificates here stay"
    return [*lines, here] if lines else ["There is nothing of this deployment in the cloud."]


def asks_twice(servers: Sequence[Server], deployment: Deployment) -> dict[str, str]:
    """Server name -> why losing it is worse than losing any: it keeps data, or is its type's last."""
    gone = {server.name for server in servers}
    found = {}
    for server in servers:
        if kept := servertypes.keeps(server, deployment):
            found[server.name] = f"{server.name} is a {server.type}: {' and '.join(kept)} go with it"
        elif server.type and not [one for one in deployment.inventory.of_type(server.type) if one.name not in gone]:
            found[server.name] = f"{server.name} is the last {server.type}"
    return found


def remove(cloud: Cloud, leaving: Leaving, progress: Progress) -> list[str]:
    """Drain the servers, have others do their work and forget them, delete them and what they owned. Returns notes.

    Repeated after an interruption anywhere it goes on from there. Raises what went wrong.
    """
    # Two at once would each cook the balancers with the other's server in.
    with locked(cloud.settings.state / "change.lock"):
        notes = [*drain(leaving), *hand_over(leaving), *forget(leaving)]
        cloud.delete([server.name for server in leaving.servers], progress)
        return notes


def _kept_goes(mine: Belongings) -> Belongings:
    kept = tuple(thing for thing in mine.stays if thing.kept)
    return replace(mine, goes=mine.goes + kept, stays=tuple(thing for thing in mine.stays if not thing.kept))


def _lines_of(server: Server, mine: Belongings) -> list[str]:
    return [
        _headline(server),
        *(f"  goes too: {thing.kind} {thing.name}{_noted(thing.note)}" for thing in mine.goes),
        *(f"  stays: {thing.kind} {thing.name}{_noted(thing.note)}" for thing in mine.stays),
    ]


def _headline(server: Server) -> str:
    if not server.type:
        return f"{server.name}: gone already, its leftovers"
    addresses = ", ".join(dict.fromkeys(filter(None, (server.private_ip, server.public_ip))))
    facts = ", ".join(filter(None, (server.type, server.state, addresses, server.flavor)))
    return f"{server.name} ({facts}): the server, its disk and everything on it"


def _noted(note: str) -> str:
    return f" ({note})" if note else ""


def _peers(servers: Sequence[Server], deployment: Deployment) -> list[str]:
    """Who will be told, before anything is deleted."""
    gone = {server.name for server in servers}
    stay = [server for server in deployment.inventory if server.name not in gone]
    balancers = [one.name for one in stay if "loadbalancer" in servertypes.parts(one.type)]
    drained = [one for one in servers if "appnode" in servertypes.parts(one.type)]
    lines = [f"first of all drained: {', '.join(balancers)} send visitors elsewhere"] if balancers and drained else []
    return lines + ([f"told to forget: {', '.join(one.name for one in stay)}"] if stay else [])
