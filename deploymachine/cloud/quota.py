"""What is about to be made in; an error out, before anything is made, where the project's quota does not allow it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deploymachine.cloud import choose
from deploymachine.cloud.words import HINT_QUOTA
from deploymachine.errors import CloudError

if TYPE_CHECKING:
    from openstack.compute.v2.flavor import Flavor
    from openstack.connection import Connection

UNLIMITED = -1


@dataclass(frozen=True)
class Need:
    """What is going to be asked of the cloud; gone: the flavors of servers that are deleted first."""

    flavors: Sequence[Flavor]
    gone: Sequence[Flavor] = ()
    addresses: int = 0
    volumes: Sequence[int] = ()  # GB of each


def check(connection: Connection, need: Need) -> None:
    """Raises CloudError that names all there is too little of. A cloud that does not tell is tried all the same."""
    missing = [
        f"{what}: {wanted} wanted, {used} of {limit} used"
        for what, wanted, used, limit in (
            *_compute(connection, need),
            *_network(connection, need),
            *_disks(connection, need),
        )
        if wanted > 0 and limit >= 0 and used + wanted > limit
    ]
    if missing:
        raise CloudError(
            "The project's quota does not allow this; nothing was made", why="\n".join(missing), hint=HINT_QUOTA
        )


Line = tuple[str, int, int, int]  # what, wanted, used, limit


def _compute(connection: Connection, need: Need) -> Iterable[Line]:
    if not need.flavors:
        return
    limits = _asked(lambda: connection.compute.get_limits().absolute)
    wanted = {of: _sum(need.flavors, of) - _sum(need.gone, of) for of in ("ram", "vcpus")}
    more = len(need.flavors) - len(need.gone)
    for what, number, used, limit in (
        ("servers", more, "instances_used", "instances"),
        ("cores", wanted["vcpus"], "total_cores_used", "total_cores"),
        ("MB of memory", wanted["ram"], "total_ram_used", "total_ram"),
    ):
        yield what, number, _number(limits, used, 0), _number(limits, limit, UNLIMITED)


def _network(connection: Connection, need: Need) -> Iterable[Line]:
    project = connection.current_project_id
    if not need.addresses or not project:
        return
    quota = _asked(lambda: connection.network.get_quota(project, details=True))
    told = getattr(quota, "floating_ips", None)
    if isinstance(told, Mapping):
        used = int(told.get("used", 0)) + int(told.get("reserved", 0))
        yield "floating IPs", need.addresses, used, int(told.get("limit", UNLIMITED))


def _disks(connection: Connection, need: Need) -> Iterable[Line]:
    if not need.volumes:
        return
    limits = _asked(lambda: connection.block_storage.get_limits().absolute)
    volumes = _number(limits, "total_volumes_used", 0), _number(limits, "max_total_volumes", UNLIMITED)
    sizes = _number(limits, "total_gigabytes_used", 0), _number(limits, "max_total_volume_gigabytes", UNLIMITED)
    yield "volumes", len(need.volumes), *volumes
    yield "GB of volumes", sum(need.volumes), *sizes


def _asked(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception:  # not every cloud tells every user; what it refuses later it says in its own words
        return None


def _number(limits: Any, name: str, otherwise: int) -> int:
    value = getattr(limits, name, None)
    return otherwise if value is None else int(value)


def _sum(flavors: Iterable[Flavor], of: str) -> int:
    return sum(choose.amount(flavor, of) for flavor in flavors)
