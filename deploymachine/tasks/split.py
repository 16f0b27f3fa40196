"""Tasks by which servers become others under traffic, with their data: split, merge, move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploymachine.errors import UsageError
from deploymachine.tasks._changing import changing
from deploymachine.tasks._deployment import plain_deployment
from deploymachine.tasks._words import listed, moved, one_of, pairs

if TYPE_CHECKING:
    from deploymachine.split.shapes import Change

WHICH = "which one, where there are several of the type"


@changing(
    into="types, with commas; default: dbappbalancer into appbalancer,dbserver; appbalancer into "
    "loadbalancer,appnode. `--into dbappbalancer,lognode` adds one",
    names="names of new servers: dbserver=db9,appnode=app4; default: the type and a number",
    server=WHICH,
)
def split(words: list[str], into: str = "", names: str = "", server: str = "") -> Change:
    """Have one server become several, with its data, while visitors are served: `fab split dbappbalancer --plan`.

    New servers are booted and cooked, databases, caches, queues and files copied and switched, then the old one stops
    what others do. Its old data stay until `fab split --finish`; until then `fab split --abort` goes back.
    """
    from deploymachine.split import shapes

    here = plain_deployment()
    if len(words) != 1:
        raise UsageError("A split is of one server", hint="name its type: `fab split dbappbalancer --plan`")
    old = one_of(words[0], server, here.inventory)
    return shapes.split(old, listed(into), pairs(names), here.inventory, here.settings)


@changing(into="the type of the one that stays; default: the smallest that does the work of all")
def merge(words: list[str], into: str = "") -> Change:
    """Have one server do the work of several, with their data, as split does: `fab merge appbalancer dbserver --plan`.

    The one that visitors come to stays. The others stop, and are deleted by `fab merge --finish`; until then
    `fab merge --abort` goes back.
    """
    from deploymachine.split import shapes

    here = plain_deployment()
    servers = [one_of(word, "", here.inventory) for word in words]
    return shapes.merge(servers, into, here.inventory, here.settings)


@changing(
    to="the new server's name",
    flavor="the new server's flavor; default: as the old one's",
    zone="its availability zone; default: as settings.py says",
    server=WHICH,
)
def move(words: list[str], to: str = "", flavor: str = "", zone: str = "", server: str = "") -> Change:
    """Have a new server take over all that another does, as split does: `fab move dbserver --to dbserver2`.

    Also `fab appnode move --to appnode3`. The old one stops, and is deleted by `fab move --finish`; until then
    `fab move --abort` goes back.
    """
    from deploymachine.split import shapes

    here = plain_deployment()
    if not to:
        raise UsageError(
            "Which server is it to move to?", hint="say the new one's name: `fab move dbserver --to dbserver2`"
        )
    old = moved(words, server, here.inventory)
    return shapes.move(old, to, flavor, zone, here.inventory, here.settings)
