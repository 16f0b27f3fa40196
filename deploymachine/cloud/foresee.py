"""Servers that are to be booted in; whether the cloud has all they need, and what its groups lack, out. Looks only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deploymachine.cloud import groups, lookup, quota
from deploymachine.cloud.plan import image_of
from deploymachine.cloud.specs import BootSpec
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.connection import Connection


def check(connection: Connection, settings: Settings, specs: Sequence[BootSpec]) -> None:
    """Raises CloudError, UsageError where an image, a flavor, a network or a quota would keep one from booting."""
    flavors = lookup.flavors(connection, {spec.flavor for spec in specs})
    for wanted in {str(image): image for image in (image_of(spec, settings) for spec in specs)}.values():
        lookup.image(connection, wanted)
    lookup.networks(connection, [spec.networks or settings.OPENSTACK_NETWORK for spec in specs])
    pool = settings.OPENSTACK_FLOATING_IP_POOL
    if pool:
        lookup.floating_pool(connection, pool)
    quota.check(
        connection,
        quota.Need(
            flavors=[flavors[spec.flavor] for spec in specs],
            addresses=len(specs) if pool else 0,
            volumes=[spec.volume for spec in specs if spec.volume],
        ),
    )


def lacking_rules(connection: Connection, settings: Settings) -> list[str]:
    """What the deployment's groups should let in and do not: "appnode: site blog, port 8000"."""
    there = groups.find(connection, settings)
    ids = {kind: str(group.id) for kind, group in there.items()}
    return [
        f"{kind or 'every server'}: {str(rule['description']).removeprefix(groups.MARK)}"
        + (f", port {rule['port_range_min']}" if rule.get("port_range_min") else "")
        for kind, group in there.items()
        for rule in groups.missing_rules(group, groups.wanted_rules(settings, kind, ids))
    ]
