"""What is to become of which servers, as a Change: names and types before and after. Pure, and checked.

Split, merge and move differ only in how a Change is made. `during` is the deployment in between: every server that is
there before or after, each with the bigger of its two types, so that all that moves is on its old and its new server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deploymachine import servertypes
from deploymachine.errors import UsageError

if TYPE_CHECKING:
    from deploymachine.inventory import Inventory, Server
    from deploymachine.settings import Settings

INTO = {"dbappbalancer": ("appbalancer", "dbserver"), "appbalancer": ("loadbalancer", "appnode")}
FRONT = "loadbalancer"  # whoever does this keeps the visitors' address, so it stays
COMMAND = {"split": "fab split", "merge": "fab merge", "move": "fab move"}
SPLIT, MERGE, MOVE = COMMAND


@dataclass(frozen=True)
class Newcomer:
    """A server to boot. like: the server whose settings it is booted with; flavor, zone: else its own ("": as that)."""

    name: str
    like: str
    flavor: str = ""
    zone: str = ""


@dataclass(frozen=True)
class Change:
    """verb: split, merge or move. before, after: name -> type, of the servers that it is about and no others.

    described: name -> what settings.py said of a server before, which it may say no more while there is a way back.
    """

    verb: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    newcomers: tuple[Newcomer, ...] = field(default=())
    described: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def joining(self) -> tuple[str, ...]:
        """The names of servers that are new."""
        return tuple(name for name in self.after if name not in self.before)

    @property
    def going(self) -> tuple[str, ...]:
        """The names of servers that are there no more in the end."""
        return tuple(name for name in self.before if name not in self.after)

    @property
    def retyped(self) -> tuple[str, ...]:
        """The names of servers that stay and do other work afterwards."""
        return tuple(name for name, kind in self.before.items() if self.after.get(name, kind) != kind)

    @property
    def during(self) -> dict[str, str]:
        """Name -> the bigger of its types: everybody is there."""
        names = dict.fromkeys((*self.before, *self.after))
        return {name: _bigger(self.before.get(name), self.after.get(name)) for name in names}

    def loses(self, name: str) -> tuple[str, ...]:
        """The plain types that the server does no more afterwards."""
        return _less(self.before.get(name), self.after.get(name))

    def gains(self, name: str) -> tuple[str, ...]:
        """The plain types that the server does only afterwards."""
        return _less(self.after.get(name), self.before.get(name))


def split(
    old: Server, into: Sequence[str], names: Mapping[str, str], inventory: Inventory, settings: Settings
) -> Change:
    """`old` stays with one of the types `into`, the others are new servers. Raises UsageError.

    into: (): what is usual for its type. names: type -> how its new server is to be called.
    """
    kinds = list(into or INTO.get(old.type, ()))
    if not kinds:
        raise UsageError(
            f"Into what is {old.name} to be split?",
            why=f"it is {a(old.type)}, and that has no usual way",
            hint=f"for example `fab split {old.type} --into {old.type},lognode`",
        )
    _check_types(kinds)
    stays = _keeps(old.type, kinds)
    kinds.remove(stays)
    if not kinds:
        raise UsageError(f"--into {stays} names one type only, so nothing is split", hint="name two or more types")
    if len(set(kinds)) < len(kinds):
        raise UsageError(
            f"--into {','.join(into)} names a type twice",
            hint="one server of each now; more of them later, with `fab openstack_boot`",
        )
    _check_asked(names, kinds, "--names")
    if settings.OPENSTACK_SERVERS:
        added = {names.get(kind) or _free_name(kind, inventory, settings): kind for kind in kinds}
        _check_free(added, inventory)
    else:
        added = {_standing_by(kind, names, settings): kind for kind in kinds}
    change = Change(
        SPLIT,
        {old.name: old.type},
        {old.name: stays, **added},
        tuple(Newcomer(name, old.name) for name in added) if settings.OPENSTACK_SERVERS else (),
        _described([old], settings),
    )
    _check_served(change, inventory, settings)
    return change


def merge(servers: Sequence[Server], into: str, inventory: Inventory, settings: Settings) -> Change:
    """One of the servers stays, the one that visitors come to, and does the work of all; the others go.

    into: its type then, ""  for the smallest type that does all that the servers do. Raises UsageError.
    """
    if len(servers) < 2:
        raise UsageError("A merge is of two servers or more", hint="for example `fab merge appbalancer dbserver`")
    parts = {part for server in servers for part in servertypes.parts(server.type)}
    kind = into or _smallest(parts)
    _check_types([kind])
    if lost := parts - set(servertypes.parts(kind)):
        raise UsageError(
            f"{a(kind).capitalize()} does not do what {listed(sorted(lost))} does",
            hint="say another --into, or merge fewer servers",
        )
    fronts = [server for server in servers if FRONT in servertypes.parts(server.type)]
    if len(fronts) > 1:
        raise UsageError(
            f"{listed([one.name for one in fronts])} are both what visitors come to",
            why="one of the addresses would go",
            hint=f"have visitors come to one of them, then `fab openstack_kill {fronts[1].name}`",
        )
    stays = (fronts or sorted(servers, key=lambda one: len(servertypes.parts(one.type)), reverse=True))[0]
    before = {one.name: one.type for one in servers}
    change = Change(MERGE, before, {stays.name: kind}, (), _described(servers, settings))
    _check_served(change, inventory, settings)
    return change


def move(old: Server, to: str, flavor: str, zone: str, inventory: Inventory, settings: Settings) -> Change:
    """A new server of the same type takes over all that `old` does, which goes. Raises UsageError."""
    if FRONT in servertypes.parts(old.type):
        raise UsageError(
            f"{old.name} can't be moved: visitors come to its address",
            why=f"{a(old.type)} is what the sites' names point to",
            hint="`fab openstack_resize` gives it another flavor where it is; a second one beside it: "
            f"`fab openstack_boot {old.type}2`",
        )
    _check_free([to], inventory)
    newcomer = Newcomer(to, old.name, flavor, zone)
    change = Change(MOVE, {old.name: old.type}, {to: old.type}, (newcomer,), _described([old], settings))
    _check_served(change, inventory, settings)
    return change


def reversed_(change: Change) -> Change:
    """The way back: after it all is as before."""
    return Change(change.verb, change.after, change.before, (), change.described)


def _described(servers: Iterable[Server], settings: Settings) -> dict[str, dict[str, Any]]:
    known = settings.booted()
    return {one.name: known[one.name][1].model_dump(mode="json") for one in servers if one.name in known}


def _bigger(first: str | None, second: str | None) -> str:
    found = [kind for kind in (first, second) if kind is not None]
    return max(found, key=lambda kind: len(servertypes.parts(kind)))


def _less(first: str | None, second: str | None) -> tuple[str, ...]:
    """The plain types of the first that the second has not; a type of None has none."""
    kept = servertypes.parts(second) if second is not None else ()
    return tuple(part for part in (servertypes.parts(first) if first is not None else ()) if part not in kept)


def _keeps(kind: str, kinds: Sequence[str]) -> str:
    """Which of the types the server of type `kind` has afterwards: its own, else the one that visitors come to."""
    able = [one for one in kinds if set(servertypes.parts(one)) <= set(servertypes.parts(kind))]
    front = [one for one in able if FRONT in servertypes.parts(one)]
    if FRONT in servertypes.parts(kind) and not front:
        raise UsageError(
            f"{a(kind).capitalize()} can't be split into {listed(kinds)}",
            why="visitors come to it, and none of these is what they come to",
            hint="name a type with a loadbalancer in it",
        )
    if not able:
        raise UsageError(
            f"{a(kind).capitalize()} can't be split into {listed(kinds)}",
            why=f"it does the work of {listed(servertypes.parts(kind))}, and none of these is a part of that",
        )
    return kind if kind in able else (front or able)[0]


def _smallest(parts: Iterable[str]) -> str:
    wanted = set(parts)
    able = [kind for kind in servertypes.names() if wanted <= set(servertypes.parts(kind))]
    if not able:
        raise UsageError(
            f"No type does the work of {listed(sorted(wanted))}",
            hint="merge fewer servers; `fab --list` shows the types",
        )
    return min(able, key=lambda kind: len(servertypes.parts(kind)))


def _free_name(kind: str, inventory: Inventory, settings: Settings) -> str:
    """appnode1, or the next number: a name that settings.py gives to this type and nobody has yet goes first."""
    taken = {server.name for server in inventory}
    for name, (listed, _) in settings.booted().items():
        if listed == kind and name not in taken:
            return name
    taken |= set(settings.booted()) | {one.name for servers in settings.SERVERS.values() for one in servers}
    return next(name for number in range(1, len(taken) + 2) if (name := f"{kind}{number}") not in taken)


def _standing_by(kind: str, names: Mapping[str, str], settings: Settings) -> str:
    """The server that is to be of that type, where there is no cloud to boot it on. Raises UsageError."""
    there = [one.name for one in settings.SERVERS.get(kind, ())]
    if names.get(kind, "") in there:
        return names[kind]
    raise UsageError(
        f"{names[kind]} is not {a(kind)} in SERVERS" if kind in names else f"Which server is to be the {kind}?",
        why="OPENSTACK_SERVERS names none to boot, so new servers have to stand in SERVERS, of their type already",
        hint=f"`--names {kind}={there[0]}`" if there else f"add it there, then say `--names {kind}=NAME`",
    )


def _check_types(kinds: Iterable[str]) -> None:
    for kind in kinds:
        if kind not in servertypes.names():
            raise UsageError(f"There is no server type {kind!r}", why=f"the types are {', '.join(servertypes.names())}")


def _check_asked(names: Mapping[str, str], kinds: Sequence[str], option: str) -> None:
    for kind in names:
        if kind not in kinds:
            raise UsageError(f"{option} names {a(kind)}, but no new server is one", why=f"new are {listed(kinds)}")


def _check_free(names: Iterable[str], inventory: Inventory) -> None:
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,23}", name):
            raise UsageError(
                f"{name!r} can't be a server's name",
                why="it becomes the hostname: lower-case letters, digits and '-', a letter first, at most 24",
            )
        if name in {server.name for server in inventory}:
            raise UsageError(f"There is a server {name} already", hint="say another name")


def _check_served(change: Change, inventory: Inventory, settings: Settings) -> None:
    """Raises UsageError where nobody would do what the sites can't be served without."""
    others = [server.type for server in inventory if server.name not in change.before]
    if lost := servertypes.lacking([*others, *change.after.values()], settings):
        raise UsageError(
            f"Nobody would do the work of {listed(lost)} any more",
            why=f"afterwards there are {listed([*change.after.values(), *others])}",
            hint=f"add a type that does: --into {','.join([*change.after.values(), *lost])}"
            if change.verb == SPLIT
            else None,
        )


def a(kind: str) -> str:
    """The type with its article: "an appnode"."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def listed(words: Sequence[str]) -> str:
    """ "one, another and a third"."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
