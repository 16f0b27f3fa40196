"""The cloud: whether it lets us in, has what settings.py asks for, and room for it; and the servers' distributions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploymachine.check.lines import Line, failed, ok, warn
from deploymachine.cloud import Cloud
from deploymachine.inventory import Inventory
from deploymachine.settings import Settings
from deploymachine.status.asking import Seen

# What recipes are tested on, or have the same packages: id -> the oldest release.
DISTRIBUTIONS = {"debian": (12,), "ubuntu": (22, 4)}


def credentials(cloud: Cloud) -> Line:
    config = cloud.connection.config
    where = config.config.get("auth", {}).get("auth_url", "")
    return ok("cloud", f"{config.name or 'the cloud'} at {where} lets us in")


def room(cloud: Cloud, inventory: Inventory, settings: Settings) -> Iterator[Line]:
    """Images, flavors, networks and quota for the servers that settings.py names and that are not there yet."""
    there = {server.name for server in inventory}
    absent = [name for name in settings.server_names() if name not in there]
    if not absent:
        yield ok("quota", "every server of settings.py is there")
        return
    cloud.foresee(absent)
    yield ok("quota", f"image, flavor, network and room for {', '.join(absent)}")


def groups(cloud: Cloud) -> Iterator[Line]:
    """Whether the security groups let in what settings.py says."""
    lacking = cloud.lacking_rules()
    for text in lacking:
        yield warn("groups", f"a security group does not let in: {text}", "`fab everything kokki` mends it")
    if not lacking:
        yield ok("groups", "the security groups let in what they should")


def servers(seen: Sequence[Seen]) -> Iterator[Line]:
    """Whether each server lets us in and become root, and what it runs."""
    for one in seen:
        if one.answer is not None:
            yield _distribution(one.server.name, one.answer["system"])
        elif one.error is not None and one.provisioned:
            yield failed("servers", one.error)
        elif one.error is not None:
            yield warn("servers", f"{one.server.name} is not provisioned yet", "`fab root provision`")


def _distribution(name: str, system: dict[str, str]) -> Line:
    least = DISTRIBUTIONS.get(system["id"])
    release = tuple(int(part) for part in system["release"].split(".") if part.isdigit())
    text = f"{name}: {system['name']}, Python {system['python']}"
    if least is None or release < least:
        return warn("servers", f"{text}: recipes are made for Debian 12 and newer, Ubuntu 22.04 and newer",
                    "set OPENSTACK_IMAGE to one of these, then `fab openstack_rebuild`")  # fmt: skip
    return ok("servers", text)


def no_clouds_needed() -> Line:
    return ok("cloud", "OPENSTACK_SERVERS names no server: none is needed")
