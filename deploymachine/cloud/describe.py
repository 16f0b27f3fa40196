"""A server as the SDK gives it in, our frozen Server out; pure."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deploymachine.inventory import Server

if TYPE_CHECKING:
    from openstack.compute.v2.flavor import Flavor
    from openstack.compute.v2.server import Server as RawServer

DEPLOYMENT = "deploymachine_deployment"
TYPE = "deploymachine_type"
IMAGE = "deploymachine_image"
NETWORK = "deploymachine_network"  # the name of the first network it was put on; settings.py may know it by its id
HOST_KEY = "deploymachine_hostkey"
BAKE = "deploymachine_bake"  # a property of images that were made of a server
KEEP = "deploymachine_keep"  # on a volume: "yes" where it outlives its server

# Addresses that no packet from elsewhere reaches; what is not among them is the server's public one.
INSIDE = [
    ipaddress.ip_network(net)
    for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8")
]


def server(raw: RawServer, network: str | None, flavors: Mapping[str, Flavor]) -> Server:
    """network: the name of the one whose address is the private one; None where the settings name none.

    flavors: id -> flavor, for clouds that tell a server's flavor by id only (microversion below 2.47).
    """
    private, public = addresses(raw.addresses or {}, network, raw.metadata.get(NETWORK))
    flavor = raw.flavor
    known = flavors.get(getattr(flavor, "id", None) or "", flavor)
    return Server(
        name=raw.name,
        type=raw.metadata.get(TYPE, ""),
        private_ip=private,
        public_ip=public,
        state="DELETING" if raw.task_state == "deleting" else raw.status,
        id=raw.id,
        flavor=flavor_name(known),
        image=raw.metadata.get(IMAGE) or getattr(raw.image, "id", None) or "",
        memory_mb=int(getattr(known, "ram", None) or 0),
        cpus=int(getattr(known, "vcpus", None) or 0),
        created=str(raw.created_at or ""),
        host_key=raw.metadata.get(HOST_KEY, ""),
    )


def is_of(raw: RawServer, deployment: str) -> bool:
    """Whether the server belongs to the deployment; everything else is somebody's whom we don't know."""
    return (raw.metadata or {}).get(DEPLOYMENT) == deployment


def with_public_ip(found: Server, address: str) -> Server:
    """The same server after it got a floating IP."""
    return dataclasses.replace(found, public_ip=address)


def has_flavor(raw: RawServer) -> bool:
    """Whether the server tells its flavor itself, as clouds do from microversion 2.47 on."""
    return bool(getattr(raw.flavor, "original_name", None))


def flavor_name(flavor: Flavor | None) -> str:
    """The name as the cloud embeds it (original_name) or lists it (name), else the id."""
    return str(next(filter(None, (getattr(flavor, key, None) for key in ("original_name", "name", "id"))), ""))


def addresses(
    by_network: Mapping[str, list[Mapping[str, Any]]], network: str | None = None, first: str | None = None
) -> tuple[str, str]:
    """(private, public) of a server's addresses, '' where there is none. IPv4 goes before IPv6.

    The private one is that on `network`, else on `first`, both names, else on the first by name.
    A server that only has an address of a provider's public network has it as both.
    """
    ordered = sorted(by_network.items(), key=lambda item: (item[0] != network, item[0] != first, item[0]))
    every = [entry for _, entries in ordered for entry in entries]
    every = [entry for entry in every if entry.get("version", 4) == 4] or every
    fixed = [str(entry["addr"]) for entry in every if entry.get("OS-EXT-IPS:type", "fixed") == "fixed"]
    floating = [str(entry["addr"]) for entry in every if entry.get("OS-EXT-IPS:type") == "floating"]
    inside = [address for address in fixed if _is_inside(address)]
    outside = [address for address in fixed if not _is_inside(address)]
    return next(iter([*inside, *outside]), ""), next(iter([*floating, *outside]), "")


def _is_inside(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed.is_private if parsed.version == 6 else any(parsed in net for net in INSIDE)
