"""A state directory goes in; where everything of that devcloud is, and what it is called on this machine, comes out.

Two devclouds with different state directories live side by side: links, namespaces, cgroups and the nftables table
carry a tag made from the directory, and port and networks are chosen free when it first comes up.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path

from deploymachine.devcloud.run import run
from deploymachine.errors import DevcloudError

DEFAULT_DIRECTORY = "/var/lib/deploymachine-devcloud"
FIRST_PORT = 15000
NEWEST = "2.104"


@dataclass(frozen=True)
class Layout:
    """directory: the state. images: the cache of image trees. port: the API's, on 127.0.0.1.

    network, floating: CIDRs of the machines and of the floating addresses. password: the one user's.
    secret: signs tokens. mtu: of the machines' links, in bytes. microversion: the newest of compute that is offered.
    confirm_window: seconds after which a resize confirms itself, 0 for never, as Nova's resize_confirm_window.
    """

    directory: Path
    images: Path
    port: int
    network: str
    floating: str
    password: str
    secret: str
    mtu: int
    microversion: str = NEWEST
    confirm_window: int = 0

    @property
    def tag(self) -> str:
        return tag_of(self.directory)

    @property
    def table(self) -> str:
        """The nftables table."""
        return f"devcloud_{self.tag}"

    @property
    def hub(self) -> str:
        """The link that holds the gateways' addresses."""
        return f"dc{self.tag}-hub"

    @property
    def cgroup(self) -> str:
        return f"devcloud-{self.tag}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def machine(self, number: int) -> str:
        """One name for a machine's link, namespace, cgroup and nspawn; links allow 15 characters."""
        return f"dc{self.tag}-{number}"

    def save(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o711)
        write_private(_file(self.directory), json.dumps(asdict(self), default=str, indent=1))


def state_directory() -> Path:
    return Path(os.environ.get("DEPLOYMACHINE_DEVCLOUD_DIR", DEFAULT_DIRECTORY)).resolve()


def images_directory() -> Path:
    """The image cache: the default state directory's, whatever this one's is, so an image is built once."""
    return Path(os.environ.get("DEPLOYMACHINE_DEVCLOUD_IMAGES", f"{DEFAULT_DIRECTORY}/images")).resolve()


def tag_of(directory: Path) -> str:
    return hashlib.sha256(str(directory).encode()).hexdigest()[:4]


def load(directory: Path) -> Layout | None:
    """The layout chosen when this devcloud came up, None if it is down."""
    try:
        row = json.loads(_file(directory).read_text())
    except FileNotFoundError:
        return None
    return Layout(**{**row, "directory": Path(row["directory"]), "images": Path(row["images"])})


def choose(directory: Path, neighbours: Sequence[Layout] = ()) -> Layout:
    """A new layout that collides with no route, address or listener of this machine.

    neighbours: other devclouds here; one whose API has died gets its port back when it comes up again.
    """
    theirs = [IPv4Network(text) for one in neighbours for text in (one.network, one.floating)]
    network, floating = free_networks([*used_networks(), *theirs])
    return Layout(
        directory=directory,
        images=images_directory(),
        port=int(os.environ.get("DEPLOYMACHINE_DEVCLOUD_PORT") or free_port({one.port for one in neighbours})),
        network=os.environ.get("DEPLOYMACHINE_DEVCLOUD_NETWORK") or network,
        floating=os.environ.get("DEPLOYMACHINE_DEVCLOUD_FLOATING") or floating,
        password=secrets.token_urlsafe(18),
        secret=secrets.token_urlsafe(32),
        mtu=uplink_mtu(),
        microversion=chosen_microversion(),
        confirm_window=chosen_window(),
    )


def chosen_microversion() -> str:
    """An older one makes devcloud a cloud of years ago: 2.79 is what many offer."""
    text = os.environ.get("DEPLOYMACHINE_DEVCLOUD_MICROVERSION") or NEWEST
    if not re.fullmatch(r"2\.[1-9]\d{0,2}", text):
        why = f"DEPLOYMACHINE_DEVCLOUD_MICROVERSION is {text!r}"
        raise DevcloudError("no such compute microversion", why=why, hint=f"write it as 2.79; the newest is {NEWEST}")
    return text


def chosen_window() -> int:
    text = os.environ.get("DEPLOYMACHINE_DEVCLOUD_CONFIRM_WINDOW") or "0"
    if not text.isdigit():
        why = f"DEPLOYMACHINE_DEVCLOUD_CONFIRM_WINDOW is {text!r}"
        raise DevcloudError("no such time for a resize to confirm itself", why=why, hint="write seconds, 0 for never")
    return int(text)


def free_networks(taken: Iterable[IPv4Network]) -> tuple[str, str]:
    """The first pair of /24s, for machines and for floating addresses, that overlaps nothing taken."""
    used = list(taken)
    for number in range(256):
        pair = (IPv4Network(f"10.87.{number}.0/24"), IPv4Network(f"10.187.{number}.0/24"))
        if not any(one.overlaps(other) for one in pair for other in used):
            return str(pair[0]), str(pair[1])
    raise DevcloudError(
        "no free network for the machines",
        why="every 10.87.x.0/24 overlaps a route of this machine",
        hint="name one: DEPLOYMACHINE_DEVCLOUD_NETWORK=172.30.5.0/24 and DEPLOYMACHINE_DEVCLOUD_FLOATING=...",
    )


def used_networks() -> list[IPv4Network]:
    routes = [row["dst"] for row in json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"]) or "[]")]
    addresses = [
        f"{address['local']}/{address['prefixlen']}"
        for link in json.loads(run(["ip", "-j", "-4", "address"]) or "[]")
        for address in link.get("addr_info", [])
    ]
    return [IPv4Network(text, strict=False) for text in [*routes, *addresses] if text != "default"]


def free_port(taken: Collection[int] = ()) -> int:
    for port in (one for one in range(FIRST_PORT, FIRST_PORT + 1000) if one not in taken):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise DevcloudError("no free port for the API", hint="name one: DEPLOYMACHINE_DEVCLOUD_PORT=...")


def uplink_mtu() -> int:
    """Of the link that leads out: a bigger one inside would make large packets vanish on the way."""
    links = json.loads(run(["ip", "-j", "link"]))
    uplinks = {row.get("dev") for row in json.loads(run(["ip", "-j", "route", "show", "default"]) or "[]")}
    return min((int(link["mtu"]) for link in links if link["ifname"] in uplinks), default=1500)


def write_private(path: Path, text: str) -> None:
    """Whole or not at all, and readable by its owner only: it may hold passwords or user-data."""
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", errors="surrogateescape") as file:  # user-data may be any bytes
        file.write(text)
    part.replace(path)


def _file(directory: Path) -> Path:
    return directory / "layout.json"
