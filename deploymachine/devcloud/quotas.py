"""What a project asks for goes in; nothing comes out while there is room, else the refusal in the service's own words.

One place for all services: "compute" refuses as Nova does, "network" as Neutron, "volume" as Cinder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deploymachine.devcloud.assets import ServerGroup
from deploymachine.devcloud.state import (
    FLAVORS,
    FloatingIP,
    Group,
    Keypair,
    Limit,
    Network,
    Port,
    Refused,
    Router,
    Rule,
    Server,
    Store,
    Subnet,
)

UNLIMITED = -1
DEFAULTS: dict[str, dict[str, int]] = {
    "compute": {
        "cores": UNLIMITED,
        "injected_file_content_bytes": 10240,
        "injected_file_path_bytes": 255,
        "injected_files": 5,
        "instances": 60,
        "key_pairs": 100,
        "metadata_items": 128,
        "ram": UNLIMITED,
        "server_group_members": 10,
        "server_groups": 10,
    },
    "network": {
        "network": 100,
        "subnet": 100,
        "subnetpool": UNLIMITED,
        "port": 500,
        "router_route": 30,
        "router": 10,
        "floatingip": 50,
        "rbac_policy": 10,
        "security_group": 100,
        "security_group_rule": 1000,
    },
    "volume": {
        "volumes": 100,
        "snapshots": 100,
        "gigabytes": 1000,
        "per_volume_gigabytes": UNLIMITED,
        "backups": 10,
        "backup_gigabytes": 1000,
        "groups": 10,
    },
}
COUNTED: dict[str, type[Network | Subnet | Port | Router | FloatingIP | Group | Rule]] = {
    "network": Network,
    "subnet": Subnet,
    "port": Port,
    "router": Router,
    "floatingip": FloatingIP,
    "security_group": Group,
    "security_group_rule": Rule,
}
OF_OLD = {"fixed_ips", "floating_ips", "networks", "security_groups", "security_group_rules"}  # nova-network's
Used = Callable[[], Mapping[str, int]]


def _whole(name: str, value: object) -> int:
    if not str(value).removeprefix("-").isdigit() or int(str(value)) < UNLIMITED:
        words = f"{value} is less than the minimum of -1" if isinstance(value, int) else f"'{value}' does not match"
        raise Refused(400, f"Invalid input for field/attribute {name}. Value: {value}. {words}")
    return int(str(value))


class Quotas:
    """usage: by service, what counts its things; whoever keeps volumes puts "volume" there."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.usage: dict[str, Used] = {"compute": self._compute, "network": self._network}

    def limits(self, service: str) -> dict[str, int]:
        """What is allowed of each; -1 is no limit."""
        return {name: self.limit(service, name) for name in DEFAULTS[service]}

    def limit(self, service: str, name: str) -> int:
        chosen = self.store.get(Limit, f"{service}/{name}")
        return DEFAULTS[service][name] if chosen is None else chosen.value

    def used(self, service: str) -> dict[str, int]:
        """0 for what nothing counts."""
        counted = self.usage.get(service, dict)()
        return {name: counted.get(name, 0) for name in DEFAULTS[service]}

    def defaults(self, service: str) -> dict[str, int]:
        return dict(DEFAULTS[service])

    def change(self, service: str, values: Mapping[str, int]) -> None:
        self.store.put(*(Limit(f"{service}/{name}", int(value)) for name, value in values.items()))

    def reset(self, service: str) -> None:
        self.store.drop(*(one for one in self.store.all(Limit) if one.id.startswith(f"{service}/")))

    def over(self, service: str, asked: Mapping[str, int]) -> list[str]:
        """The names of what does not fit any more, sorted."""
        used, limits = self.used(service), self.limits(service)
        return sorted(name for name, more in asked.items() if 0 <= limits[name] < used[name] + more)

    # setting them

    def change_compute(self, body: Mapping[str, Any]) -> None:
        """body: of the request. Raises Refused as Nova does."""
        asked = {name: value for name, value in body.items() if name not in ("force", "tenant_id")}
        strange = sorted(asked.keys() - DEFAULTS["compute"].keys() - OF_OLD)
        if strange:
            words = f"Additional properties are not allowed ({strange[0]!r} was unexpected)"
            raise Refused(400, f"Invalid input for field/attribute quota_set. Value: {dict(body)}. {words}")
        values = {name: _whole(name, value) for name, value in asked.items() if name not in OF_OLD}
        used = self.used("compute")
        for name, value in values.items():
            if not body.get("force") and UNLIMITED < value < used[name]:
                words = f"Quota limit {value} for {name} must be greater than or equal to already used and reserved"
                raise Refused(400, f"{words} {used[name]}.")
        self.change("compute", values)

    def change_network(self, body: Mapping[str, Any]) -> None:
        """body: of the request. Raises Refused as Neutron does."""
        values = {name: value for name, value in body.items() if name not in ("check_limit", "force", "tenant_id")}
        strange = sorted(values.keys() - DEFAULTS["network"].keys())
        if strange:
            raise Refused(400, f"Unrecognized attribute(s) '{', '.join(strange)}'", "HTTPBadRequest")
        for name, value in values.items():
            if not str(value).removeprefix("-").isdigit() or int(value) < UNLIMITED:
                words = f"Invalid input for {name}. Reason: '{value}' must be a non-negative integer."
                raise Refused(400, words, "HTTPBadRequest")
        used = self.used("network")
        under = sorted(name for name, value in values.items() if UNLIMITED < int(value) < used[name])
        if under and body.get("check_limit"):
            words = f"Change would make usage less than 0 for the following resources: {', '.join(under)}."
            raise Refused(409, words, "InvalidQuotaValue")
        self.change("network", values)

    # each service's words

    def check_servers(self, instances: int, cores: int, ram: int) -> None:
        """cores and ram (MB): of all the new servers. Raises Refused as Nova: 403."""
        asked = {"instances": instances, "cores": cores, "ram": ram}
        over = self.over("compute", asked)
        if over:
            used, limits, names = self.used("compute"), self.limits("compute"), ", ".join(over)
            wanted, had, allowed = (", ".join(str(row[name]) for name in over) for row in (asked, used, limits))
            words = f"Quota exceeded for {names}: Requested {wanted}, but already used {had} of {allowed} {names}"
            raise Refused(403, words)

    def check_metadata(self, count: int) -> None:
        """Of one server."""
        allowed = self.limit("compute", "metadata_items")
        if 0 <= allowed < count:
            raise Refused(403, f"Maximum number of metadata items exceeds {allowed}")

    def check_keypair(self) -> None:
        if self.over("compute", {"key_pairs": 1}):
            raise Refused(403, "Quota exceeded, too many key pairs.")

    def check_server_group(self) -> None:
        if self.over("compute", {"server_groups": 1}):
            raise Refused(403, "Quota exceeded, too many server groups.")

    def check_members(self, more: int, used: int) -> None:
        """Of one server group."""
        if 0 <= self.limit("compute", "server_group_members") < used + more:
            raise Refused(403, "Quota exceeded, too many servers in group")

    def check_ports(self, count: int) -> None:
        """Those that Nova makes for new servers: refused before there is any."""
        if self.over("network", {"port": count}):
            raise Refused(403, "Maximum number of ports exceeded")

    def check_network(self, name: str, count: int = 1) -> None:
        """name: "port", "floatingip", ... Raises Refused as Neutron: 409."""
        if self.over("network", {name: count}):
            raise Refused(409, f"Quota exceeded for resources: {[name]}.", "OverQuota")

    def check_volume(self, gigabytes: int) -> None:
        """One more volume of that size. Raises Refused as Cinder: 413."""
        self.check_volume_growth(gigabytes, gigabytes)
        if self.over("volume", {"volumes": 1}):
            words = f"Maximum number of volumes allowed ({self.limit('volume', 'volumes')}) exceeded"
            raise Refused(413, f"VolumeLimitExceeded: {words} for quota 'volumes'.")

    def check_volume_growth(self, more: int, gigabytes: int) -> None:
        """A volume that shall grow by so much, to so much."""
        allowed = self.limit("volume", "per_volume_gigabytes")
        if 0 <= allowed < gigabytes:
            words = f"Requested volume size {gigabytes}G is larger than maximum allowed limit {allowed}G."
            raise Refused(400, f"VolumeSizeExceedsLimit: {words}")
        self._check_gigabytes(more)

    def check_snapshot(self, gigabytes: int) -> None:
        self._check_gigabytes(gigabytes)
        if self.over("volume", {"snapshots": 1}):
            words = f"Maximum number of snapshots allowed ({self.limit('volume', 'snapshots')}) exceeded"
            raise Refused(413, f"SnapshotLimitExceeded: {words} for quota 'snapshots'.")

    def _check_gigabytes(self, gigabytes: int) -> None:
        if self.over("volume", {"gigabytes": gigabytes}):
            allowed, used = self.limit("volume", "gigabytes"), self.used("volume")["gigabytes"]
            words = "Requested volume or snapshot exceeds allowed gigabytes quota."
            rest = f"Requested {gigabytes}G, quota is {allowed}G and {used}G has been consumed."
            raise Refused(413, f"VolumeSizeExceedsAvailableQuota: {words} {rest}")

    # what there is

    def _compute(self) -> dict[str, int]:
        flavors = {flavor.id: flavor for flavor in FLAVORS}
        sizes = [flavors[server.flavor_id] for server in self.store.all(Server) if server.flavor_id in flavors]
        return {
            "instances": len(self.store.all(Server)),
            "cores": sum(size.vcpus for size in sizes),
            "ram": sum(size.ram for size in sizes),
            "key_pairs": len(self.store.all(Keypair)),
            "server_groups": len(self.store.all(ServerGroup)),
        }

    def _network(self) -> dict[str, int]:
        """The external network and what is on it belong to another project."""
        outer = {network.id for network in self.store.all(Network) if network.external}
        counts = {name: len(self.store.all(kind)) for name, kind in COUNTED.items()}
        theirs = {"network": len(outer), "subnet": sum(s.network_id in outer for s in self.store.all(Subnet))}
        return {name: count - theirs.get(name, 0) for name, count in counts.items()}
