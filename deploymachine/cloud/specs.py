"""A server's name and what the command line says of it in, what to boot out; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deploymachine import servertypes
from deploymachine.cloud.lookup import suggestion
from deploymachine.errors import UsageError
from deploymachine.settings import Settings
from deploymachine.settings_servers import BootedServer, DataVolume

MOST_AT_ONCE = 100  # servers of one --count: more is a slip of the finger


@dataclass(frozen=True)
class BootSpec:
    """One server to boot: names and ids as the user wrote them.

    image None: OPENSTACK_IMAGE. volume: GB of the volume to boot from, None: the flavor's own disk. networks (): those
    of OPENSTACK_NETWORK. zone None: the one where the fewest servers of this type are.
    """

    name: str
    type: str
    flavor: str
    image: str | Mapping[str, str] | None = None
    volume: int | None = None
    data_volumes: tuple[DataVolume, ...] = ()
    networks: tuple[str, ...] = ()
    zone: str | None = None


@dataclass(frozen=True)
class Asked:
    """What the command line says, None or empty where it says nothing; it goes before settings.py."""

    type: str | None = None
    flavor: str | None = None
    image: str | None = None
    volume: int | None = None
    networks: tuple[str, ...] = ()
    zone: str | None = None


def boot_spec(
    settings: Settings,
    name: str,
    type: str | None = None,
    flavor: str | None = None,
    image: str | None = None,
    asked: Asked | None = None,
) -> BootSpec:
    """What to boot for `name`: as the arguments say, else OPENSTACK_SERVERS.

    A name that is not there takes its type from its letters (appnode2: appnode), and the rest from that type's last
    server. Raises UsageError when a type or flavor can't be told, and for a server that is on no OpenStack.
    """
    asked = asked or Asked(type, flavor, image)
    _check_name(name)
    check_not_fixed(settings, name)
    listed_type, listed = settings.booted().get(name, (None, None))
    kind = asked.type or listed_type or _type_of(name)
    _check_type(kind, name)
    like = listed or _sibling(kind, settings)
    if like is None:
        like = BootedServer(name=name, flavor=_needed(asked.flavor, name, kind))
    return BootSpec(
        name,
        kind,
        asked.flavor or like.flavor,
        asked.image or like.image,
        asked.volume or like.volume,
        like.data_volumes,
        asked.networks or like.network,
        asked.zone or (listed.zone if listed else None),
    )


def counted(name: str, count: int) -> list[str]:
    """`count` names from `name` on: appnode2, appnode3, ... Raises UsageError where they can't be counted on."""
    if not 1 <= count <= MOST_AT_ONCE:
        raise UsageError(f"--count {count} can't be done", why=f"it is a number from 1 to {MOST_AT_ONCE}")
    match = re.fullmatch(r"(.*?)(\d+)", name)
    if count == 1:
        return [name]
    if match is None:
        raise UsageError(
            f"{name!r} can't be counted on from",
            why=f"--count {count} boots the name with its number and those after it",
            hint=f"name the first one: `fab openstack_boot {name}1 --count {count}`",
        )
    letters, digits = match.groups()
    return [f"{letters}{int(digits) + more:0{len(digits)}d}" for more in range(count)]


def check_not_fixed(settings: Settings, name: str) -> None:
    """Raises UsageError for a server that SERVERS names: no OpenStack made it, none can boot or kill it."""
    if any(name == server.name for servers in settings.SERVERS.values() for server in servers):
        raise UsageError(
            f"{name} is on no OpenStack",
            why="SERVERS in settings.py names it: it is there already, and deploymachine neither boots nor kills it",
            hint=f"`fab server:{name} launch` and every other task work with it",
        )


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,23}", name):
        raise UsageError(
            f"{name!r} can't be a server's name",
            why="it becomes the hostname: lower-case letters, digits and '-', a letter first, at most 24",
        )


def _type_of(name: str) -> str:
    return re.sub(r"[-0-9]+$", "", name)


def _check_type(kind: str, name: str) -> None:
    known = servertypes.names()
    if kind not in known:
        raise UsageError(
            f"There is no server type {kind!r}{suggestion(kind, known)}",
            where=name,
            why=f"the types are: {', '.join(known)}",
            hint=f"name it in OPENSTACK_SERVERS, say --type, or give it a name such as {known[0]}2" if known else None,
        )


def _sibling(kind: str, settings: Settings) -> BootedServer | None:
    """The last of the type's servers: one that is added is made as it was."""
    return next(reversed(settings.OPENSTACK_SERVERS.get(kind, ())), None)


def _needed(flavor: str | None, name: str, kind: str) -> str:
    if flavor is None:
        raise UsageError(
            f"Which flavor is {name} to have?",
            why=f"OPENSTACK_SERVERS neither names {name} nor another {kind} to take it from",
            hint="add it to OPENSTACK_SERVERS in settings.py, or say --flavor",
        )
    return flavor
