"""What the cloud knows, as frozen values in a store that survives a restart; no HTTP and no machines here."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, TypeVar

from deploymachine.devcloud.assets import Attachment, Image, ServerGroup, Volume, releases
from deploymachine.devcloud.ids import builtin_id as builtin_id
from deploymachine.devcloud.ids import new_id as new_id
from deploymachine.devcloud.ids import now as now
from deploymachine.devcloud.layout import Layout, write_private
from deploymachine.devcloud.process import Process


class Refused(Exception):  # noqa: N818 - the cloud refusing is no programming error; the API says it in HTTP
    """status: the HTTP status. kind: Neutron's name for it, where Neutron answers."""

    def __init__(self, status: int, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.kind = status, message, kind


PROJECT = builtin_id("project", "devcloud").replace("-", "")
OTHERS = "0" * 32  # the project that the external network and devcloud's own images belong to
USER = builtin_id("user", "devcloud").replace("-", "")


@dataclass(frozen=True)
class Flavor:
    """ram in MB, disk in GB (told, not enforced)."""

    id: str
    name: str
    ram: int
    vcpus: int
    disk: int


FLAVORS = tuple(
    Flavor(builtin_id("flavor", name), name, ram, vcpus, disk)
    for name, ram, vcpus, disk in [
        ("m1.tiny", 512, 1, 1),
        ("m1.small", 2048, 1, 20),
        ("m1.medium", 4096, 2, 40),
        ("m1.large", 8192, 4, 80),
    ]
)
IMAGES = tuple(releases())


@dataclass(frozen=True)
class Keypair:
    id: str  # its name, as Nova finds keypairs by it
    public_key: str
    fingerprint: str
    created: str = field(default_factory=now)


@dataclass(frozen=True)
class Credential:
    """An application credential. digest: of its secret."""

    id: str
    name: str
    digest: str
    description: str | None = None
    unrestricted: bool = False
    created: str = field(default_factory=now)


@dataclass(frozen=True)
class Network:
    """secure: whether ports made on it are guarded unless they say otherwise."""

    id: str
    name: str
    external: bool = False
    created: str = field(default_factory=now)
    updated: str | None = None
    description: str = ""
    admin_up: bool = True
    secure: bool = True


@dataclass(frozen=True)
class Subnet:
    """gateway: "" where it has none. pools: pairs (first, last address) to take from; none is the whole subnet."""

    id: str
    name: str
    network_id: str
    cidr: str
    gateway: str
    created: str = field(default_factory=now)
    updated: str | None = None
    description: str = ""
    dhcp: bool = True
    nameservers: list[str] = field(default_factory=list)
    pools: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class Router:
    """external_id: the network that its gateway is on; address: its own there."""

    id: str
    name: str
    external_id: str | None = None
    address: str = ""
    created: str = field(default_factory=now)
    updated: str | None = None
    description: str = ""
    admin_up: bool = True


@dataclass(frozen=True)
class Group:
    id: str
    name: str
    description: str = ""
    created: str = field(default_factory=now)
    updated: str | None = None


@dataclass(frozen=True)
class Rule:
    id: str
    group_id: str
    direction: str
    ethertype: str = "IPv4"
    protocol: str | None = None
    port_min: int | None = None
    port_max: int | None = None
    prefix: str | None = None
    remote_group_id: str | None = None
    description: str | None = ""
    created: str = field(default_factory=now)


@dataclass(frozen=True)
class Port:
    """number: names the machine's link, namespace and cgroup; unique while the port lives, 0 for a router's.

    owner: what Neutron calls device_owner. secure: whether groups guard it. pairs: more that it may send from, as
    (MAC, address or CIDR). place: which of its server's links it is, from 0.
    """

    id: str
    number: int
    network_id: str
    subnet_id: str
    address: str
    mac: str
    groups: list[str]
    name: str = ""
    device_id: str = ""
    made_for_server: bool = False  # such a port goes when its server goes
    created: str = field(default_factory=now)
    updated: str | None = None
    description: str = ""
    owner: str = ""
    admin_up: bool = True
    secure: bool = True
    pairs: list[list[str]] = field(default_factory=list)
    place: int = 0


@dataclass(frozen=True)
class FloatingIP:
    id: str
    address: str
    network_id: str
    port_id: str | None = None
    description: str = ""
    created: str = field(default_factory=now)
    updated: str | None = None


@dataclass(frozen=True)
class Limit:
    """A quota that was set. id: the service and its name for it, "compute/instances"."""

    id: str
    value: int


@dataclass(frozen=True)
class Server:
    """status, task_state, vm_state, power_state: Nova's words and numbers. user_data: decoded.

    image_id: "" if its root disk is a volume. host: "" if none could take it. old_flavor_id: the one to go back to
    while a resize waits to be confirmed. hints: the scheduler's, as they were asked. called: what its machine calls
    itself, which a new name does not change.
    """

    id: str
    name: str
    flavor_id: str
    image_id: str
    key_name: str | None = None
    user_data: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    description: str | None = None
    status: str = "BUILD"
    vm_state: str = "building"
    task_state: str | None = "scheduling"
    power_state: int = 0
    fault: str | None = None
    process: Process | None = None
    host: str = ""
    zone_asked: str | None = None
    hints: dict[str, Any] = field(default_factory=dict)
    old_flavor_id: str | None = None
    locked: bool = False
    locked_reason: str | None = None
    called: str = ""
    config_drive: bool = False
    created: str = field(default_factory=now)
    updated: str = field(default_factory=now)
    launched: str | None = None

    @property
    def hostname(self) -> str:
        """As Nova makes it from a name: letters, digits, dots and hyphens, lower case."""
        kept = "".join(
            c if (c.isalnum() and c.isascii()) or c in ".-" else "-" for c in (self.called or self.name).lower()
        )
        return kept.strip(".-")[:63] or f"server-{self.id}"


Asset = Image | Volume | Attachment | ServerGroup
Value = Keypair | Credential | Network | Subnet | Group | Rule | Port | Router | FloatingIP | Limit | Server | Asset
V = TypeVar("V", bound=Value)
KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in Value.__args__}


class Store:
    """Every change is on disk before it is seen. Take `lock` around what must not be interleaved."""

    def __init__(self, file: Path) -> None:
        self.lock = threading.RLock()
        self._file = file
        self._values: dict[str, dict[str, Any]] = {name: {} for name in KINDS}
        if file.exists():
            self._load(json.loads(file.read_text()))

    def all(self, kind: type[V]) -> list[V]:
        """Oldest first."""
        with self.lock:
            return list(self._values[kind.__name__].values())

    def get(self, kind: type[V], identity: str | None) -> V | None:
        """identity: also anything else that a request held where an id belongs, which nothing has."""
        return self._values[kind.__name__].get(identity) if isinstance(identity, str) else None

    def put(self, *values: Value) -> None:
        with self.lock:
            for value in values:
                self._values[type(value).__name__][value.id] = value
            self._save()

    def drop(self, *values: Value) -> None:
        with self.lock:
            for value in values:
                self._values[type(value).__name__].pop(value.id, None)
            self._save()

    def _save(self) -> None:
        rows = {name: [asdict(value) for value in table.values()] for name, table in self._values.items()}
        write_private(self._file, json.dumps(rows))

    def _load(self, tables: dict[str, list[dict[str, Any]]]) -> None:
        for name, rows in tables.items():
            values = [KINDS[name](**_revived(row)) for row in rows]
            self._values[name] = {value.id: value for value in values}


def _revived(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "process": Process(**row["process"])} if row.get("process") else row


def open_store(layout: Layout) -> Store:
    """The store of that devcloud, with what every project has from its first day."""
    store = Store(layout.directory / "state.json")
    missing = [value for value in _first_day(layout) if store.get(type(value), value.id) is None]
    if missing:
        store.put(*missing)
    return store


def _first_day(layout: Layout) -> Iterator[Value]:
    yield from IMAGES
    for name, cidr, external in (("private", layout.network, False), ("public", layout.floating, True)):
        network = builtin_id("network", name)
        yield Network(network, name, external)
        gateway = cidr.rpartition(".")[0] + ".1"
        yield Subnet(builtin_id("subnet", name), f"{name}-subnet", network, cidr, gateway, dhcp=not external)
    yield from _first_router(layout)
    group = builtin_id("group", "default")
    yield Group(group, "default", "Default security group")
    for ethertype in ("IPv4", "IPv6"):
        yield Rule(builtin_id("rule", "out", ethertype), group, "egress", ethertype, description=None)
        inward = builtin_id("rule", "in", ethertype)
        yield Rule(inward, group, "ingress", ethertype, remote_group_id=group, description=None)


def _first_router(layout: Layout) -> Iterator[Value]:
    """Between the two networks, so that machines reach the outside and floating addresses reach them."""
    router, network = builtin_id("router"), builtin_id("network", "private")
    yield Router(router, "router", builtin_id("network", "public"), str(IPv4Network(layout.floating)[-2]))
    yield Port(
        id=builtin_id("port", "router"),
        number=0,
        network_id=network,
        subnet_id=builtin_id("subnet", "private"),
        address=layout.network.rpartition(".")[0] + ".1",
        mac="fa:16:3e:00:00:01",
        groups=[],
        device_id=router,
        owner="network:router_interface",
        secure=False,
    )
