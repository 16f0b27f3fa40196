"""A server's name and what the command line says of it in, what to boot out; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploymachine import servertypes
from deploymachine.cloud.lookup import suggestion
from deploymachine.errors import UsageError
from deploymachine.settings import Settings


@dataclass(frozen=True)
class BootSpec:
    """One server to boot: names and ids as the user wrote them. image None: OPENSTACK_IMAGE."""

    name: str
    type: str
    flavor: str
    image: str | None = None


def boot_spec(
    settings: Settings, name: str, type: str | None = None, flavor: str | None = None, image: str | None = None
) -> BootSpec:
    """What to boot for `name`. type and flavor come from the arguments, else from OPENSTACK_SERVERS.

    A name that is not there takes its type from its letters (appnode2: appnode) and the flavor of that type's other
    servers. Raises UsageError when a type or flavor can't be told.
    """
    _check_name(name)
    listed_type, listed_flavor = settings.server_names().get(name, (None, None))
    kind = type or listed_type or _type_of(name)
    _check_type(kind, name)
    return BootSpec(name, kind, flavor or listed_flavor or _flavor_of(kind, name, settings), image)


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


def _flavor_of(kind: str, name: str, settings: Settings) -> str:
    others = settings.OPENSTACK_SERVERS.get(kind, ())
    if not others:
        raise UsageError(
            f"Which flavor is {name} to have?",
            why=f"OPENSTACK_SERVERS neither names {name} nor another {kind} to take it from",
            hint="add it to OPENSTACK_SERVERS in settings.py, or say --flavor",
        )
    return others[-1][1]
