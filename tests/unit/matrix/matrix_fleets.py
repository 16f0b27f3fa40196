"""Every set of server types that can serve the sites, in several quantities: as fleets with their attributes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from deploymachine import servertypes
from deploymachine.inventory import Inventory, Server
from deploymachine.secrets import Secrets
from deploymachine.secrets_file import Answer, Known, SecretsFile
from deploymachine.servertypes import Deployment
from deploymachine.settings import Settings
from deploymachine.settings_servers import BootedServer

MEMORY_MB = 2048
# Of the type at place n of a set, this many: all 1, all 2, all 3, and three ways to have them differ.
QUANTITIES = ((1, 1, 1), (2, 2, 2), (3, 3, 3), (1, 2, 3), (2, 3, 1), (3, 1, 2))


class Memory(SecretsFile):
    """A secrets file that is none: what was kept goes with the test."""

    def __init__(self) -> None:
        self.known: Known = {}

    def read(self) -> Known:
        return self.known

    def change(self, change: Callable[[Known], Answer]) -> Answer:
        return change(self.known)


class Kept(Secrets):
    """Secrets that are made once and live as long as the test."""

    def __init__(self) -> None:
        self.file, self.sources = Memory(), {}

    @property
    def known(self) -> Known:
        return self.file.read()


@dataclass(frozen=True)
class Fleet:
    """counts: type -> how many servers of it."""

    counts: dict[str, int]
    deployment: Deployment

    def __str__(self) -> str:
        return " + ".join(f"{count} {kind}" for kind, count in self.counts.items())

    @property
    def servers(self) -> tuple[Server, ...]:
        return self.deployment.inventory.servers

    def serving(self, *parts: str) -> list[Server]:
        found = (server for part in parts for server in self.deployment.inventory.serving(part))
        return list(dict.fromkeys(found))

    @cached_property
    def attributes(self) -> dict[str, dict[str, Any]]:
        return {server.name: servertypes.attributes(server, self.deployment) for server in self.servers}

    def sites(self, server: Server) -> dict[str, dict[str, Any]]:
        """Name -> what the server is told of each site that it does work of."""
        told = self.attributes[server.name]
        return {one["name"]: one for one in (*told.get("celery.sites", ()), *told.get("django.sites", ()))}


def sets(settings: Settings) -> list[tuple[str, ...]]:
    """Every set of types that can serve the sites."""
    kinds = servertypes.names()
    every = (some for size in range(1, len(kinds) + 1) for some in itertools.combinations(kinds, size))
    return [some for some in every if servertypes.can_serve(some, settings)]


def fleets(settings: Settings, secrets: Kept, quantities: Iterable[tuple[int, ...]] = QUANTITIES) -> Iterator[Fleet]:
    """Each set in each of the quantities."""
    for some in sets(settings):
        for quantity in quantities:
            yield fleet({kind: quantity[place % 3] for place, kind in enumerate(some)}, settings, secrets)


def fleet(counts: dict[str, int], settings: Settings, secrets: Kept) -> Fleet:
    """A server's address tells its type and number, whichever fleet it is in."""
    places = {kind: place for place, kind in enumerate(servertypes.names(), 1)}
    servers = [
        Server(f"{kind}{number}", kind, f"10.{places[kind]}.0.{number}", memory_mb=MEMORY_MB)
        for kind, count in counts.items()
        for number in range(1, count + 1)
    ]
    named = {
        kind: tuple(BootedServer(name=server.name, flavor="m1") for server in servers if server.type == kind)
        for kind in counts
    }
    told = settings.model_copy(update={"OPENSTACK_SERVERS": named})
    return Fleet(counts, Deployment(told, Inventory(servers), secrets))
