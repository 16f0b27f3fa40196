"""Names from settings.py in, ids of images, flavors and networks out; an unknown name is told with near matches."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from deploymachine.cloud.words import explained
from deploymachine.errors import CloudError

if TYPE_CHECKING:
    from openstack.compute.v2.flavor import Flavor
    from openstack.connection import Connection
    from openstack.image.v2.image import Image
    from openstack.network.v2.network import Network

Named = TypeVar("Named", bound=Any)  # a Resource of the SDK: has id and name
SHOWN = 12  # how many of the names there are a message lists


def image(connection: Connection, wanted: str) -> Image:
    """The newest active image of that name, or the one of that id. Raises CloudError."""
    with explained("The images can't be listed"):
        if named := _active_images(connection, name=wanted):
            return max(named, key=lambda found: str(found.created_at))
        every = _active_images(connection)
    return _one(
        every, wanted, "image", "OPENSTACK_IMAGE in settings.py names it; `openstack-compute image-list` lists them"
    )


def flavors(connection: Connection, wanted: Iterable[str]) -> dict[str, Flavor]:
    """Flavor name or id -> flavor, for each of `wanted`. Raises CloudError."""
    with explained("The flavors can't be listed"):
        every = list(connection.compute.flavors())
    hint = "OPENSTACK_SERVERS in settings.py names it (or --flavor); `openstack-compute flavor-list` lists them"
    return {name: _one(every, name, "flavor", hint) for name in wanted}


def network(connection: Connection, wanted: str | None) -> Network:
    """The network of that name or id; with None the only one servers can be put on. Raises CloudError."""
    with explained("The networks can't be listed"):
        every = list(connection.network.networks())
    if wanted is not None:
        return _one(every, wanted, "network", "OPENSTACK_NETWORK in settings.py names it")
    usable = [found for found in every if not found.is_router_external and found.subnet_ids]
    if len(usable) != 1:
        raise CloudError(
            "Which network? The settings name none",
            why=f"the project has {len(usable)} that servers can use: {', '.join(_names(usable)) or 'none'}",
            hint="set OPENSTACK_NETWORK in settings.py"
            if usable
            else "make one with a router (`openstack network create`), or set OPENSTACK_NETWORK to a shared one",
        )
    return usable[0]


def floating_pool(connection: Connection, wanted: str) -> Network:
    """The external network floating IPs come from. Raises CloudError."""
    with explained("The external networks can't be listed"):
        every = list(connection.network.networks(is_router_external=True))
    return _one(
        every, wanted, "floating IP pool", "OPENSTACK_FLOATING_IP_POOL in settings.py names an external network"
    )


def suggestion(word: str, known: Iterable[str]) -> str:
    """ "; did you mean 'x'?" for the nearest of `known`, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _active_images(connection: Connection, **query: str) -> list[Image]:
    images: Iterable[Any] = connection.image.images(**query)
    return [image for image in images if image.status == "active"]


def _one(every: list[Named], wanted: str, kind: str, hint: str) -> Named:
    found = [one for one in every if wanted in (one.id, one.name)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(one.id for one in found)
        raise CloudError(
            f"There are {len(found)} {kind}s named {wanted!r}", why=f"their ids: {ids}", hint="name the id instead"
        )
    names = _names(every)
    raise CloudError(
        f"There is no {kind} {wanted!r}{suggestion(wanted, names)}",
        why=f"the cloud has: {', '.join(names[:SHOWN]) or 'none'}{', ...' if len(names) > SHOWN else ''}",
        hint=hint,
    )


def _names(every: Iterable[Any]) -> list[str]:
    return sorted({str(one.name) for one in every})
