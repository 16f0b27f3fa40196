"""Names from settings.py in, images, flavors, networks and zones out; an unknown name is told with near matches."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from deploymachine.cloud import choose
from deploymachine.cloud.describe import BAKE
from deploymachine.cloud.words import explained
from deploymachine.errors import CloudError

if TYPE_CHECKING:
    from openstack.compute.v2.flavor import Flavor
    from openstack.connection import Connection
    from openstack.image.v2.image import Image
    from openstack.network.v2.network import Network

Named = TypeVar("Named", bound=Any)  # a Resource of the SDK: has id and name
SHOWN = 12  # how many of the names there are a message lists
HINT_IMAGE = (
    "OPENSTACK_IMAGE in settings.py names it (or --image): a name, an id, a pattern such as 'debian-12*', or properties"
    "; `openstack-compute image-list` lists them"
)
HINT_FLAVOR = "OPENSTACK_SERVERS in settings.py names it (or --flavor); `openstack-compute flavor-list` lists them"


def image(connection: Connection, wanted: str | Mapping[str, str]) -> Image:
    """The newest active image of that name, else the one of that id, else the newest that fits. Raises CloudError.

    wanted: a name, an id, a pattern ("debian-12*"), or properties (a dict, or "os_distro=debian,os_version=13").
    """
    with explained("The images can't be listed"):
        if isinstance(wanted, str) and (named := _active_images(connection, name=wanted)):
            return max(named, key=lambda found: str(found.created_at))
        every = _active_images(connection)
    if isinstance(wanted, str) and "=" in wanted:
        wanted = choose.image_properties(wanted)
    if isinstance(wanted, str) and not choose.is_pattern(wanted):
        return _one(every, wanted, "image", HINT_IMAGE)
    # What was made of a server bears its first image's properties: only its own name or id leads to it.
    found = choose.newest_image((one for one in every if BAKE not in (one.properties or {})), wanted)
    if found is None:
        raise CloudError(f"No image fits {_written(wanted)}", why=_there_are(_names(every)), hint=HINT_IMAGE)
    return found


def flavors(connection: Connection, wanted: Iterable[str]) -> dict[str, Flavor]:
    """Flavor name, id or expression -> flavor, for each of `wanted`. Raises CloudError, UsageError."""
    with explained("The flavors can't be listed"):
        every = list(connection.compute.flavors())
    return {one: _flavor(every, one) for one in wanted}


def _flavor(every: list[Flavor], wanted: str) -> Flavor:
    if not choose.is_expression(wanted) or any(wanted in (one.id, one.name) for one in every):
        return _one(every, wanted, "flavor", HINT_FLAVOR)
    found = choose.least_flavor((one for one in every if not one.is_disabled), wanted)
    if found is None:
        most = max(every, key=lambda one: choose.amount(one, "ram"), default=None)
        parts = ((choose.amount(most, "ram"), "MB"), (choose.amount(most, "vcpus"), "vcpus"))
        sizes = ", ".join(f"{number} {unit}" for number, unit in (*parts, (choose.amount(most, "disk"), "GB disk")))
        why = f"the one with most memory is {most.name}: {sizes}" if most is not None else "the cloud has none"
        raise CloudError(f"No flavor fits {wanted!r}", why=why, hint=HINT_FLAVOR)
    return found


def network(connection: Connection, wanted: str | None) -> Network:
    """The network of that name or id; with None the only one servers can be put on. Raises CloudError."""
    return networks(connection, [() if wanted is None else (wanted,)])[0][0]


def networks(connection: Connection, wanted: Sequence[Sequence[str]]) -> list[tuple[Network, ...]]:
    """For each of `wanted`, the networks of these names or ids; of none, the only one there is. Raises CloudError."""
    with explained("The networks can't be listed"):
        every = list(connection.network.networks())
    hint = "OPENSTACK_NETWORK in settings.py names it (or --network)"
    return [
        tuple(_one(every, name, "network", hint) for name in names) if names else (_only(every),) for names in wanted
    ]


def _only(every: Iterable[Network]) -> Network:
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
    what = f"There is no {kind} {wanted!r}{suggestion(wanted, names)}"
    raise CloudError(what, why=_there_are(names), hint=hint)


def _there_are(names: list[str]) -> str:
    return f"the cloud has: {', '.join(names[:SHOWN]) or 'none'}{', ...' if len(names) > SHOWN else ''}"


def _written(wanted: str | Mapping[str, str]) -> str:
    return repr(wanted) if isinstance(wanted, str) else ", ".join(f"{key}={value}" for key, value in wanted.items())


def _names(every: Iterable[Any]) -> list[str]:
    return sorted({str(one.name) for one in every})
