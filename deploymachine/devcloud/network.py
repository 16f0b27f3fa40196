"""Plugs and wiring go in; links, namespaces, routes and one nftables table come out.

Every machine has a routed link of its own, no bridge: traffic between machines passes the forward hook, where rules
can see it. The namespace is made and addressed before the machine boots, so its network is up from its first moment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, ip_address
from pathlib import Path

from deploymachine.devcloud.firewall import Wire, Wiring, ruleset
from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.run import run, succeeds

NAMESPACES = Path("/run/netns")
RESOLVED = Path("/run/systemd/resolve/resolv.conf")  # systemd-resolved's own upstreams, behind its loopback stub


@dataclass(frozen=True)
class Plug:
    """A machine's end of a link. address: "10.87.0.5/24". gateway, mac: as text. number: names the link.

    pairs: addresses or CIDRs that it may hold besides.
    """

    number: int
    address: str
    gateway: str
    mac: str
    pairs: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """The address without its prefix length."""
        return str(IPv4Interface(self.address).ip)


@dataclass(frozen=True)
class Resolvers:
    """nameservers: for the machines' resolv.conf. forward_to: the host's loopback resolver, if that is all it has."""

    nameservers: tuple[str, ...]
    forward_to: str | None = None


def resolvers(gateway: str, files: Iterable[Path] = (RESOLVED, Path("/etc/resolv.conf"))) -> Resolvers:
    """The host's nameservers; a loopback one is reached through the gateway, to which DNS is then forwarded."""
    loopback = None
    for file in files:
        lines = file.read_text().splitlines() if file.exists() else []
        servers = [words[1] for words in map(str.split, lines) if words[:1] == ["nameserver"] and len(words) > 1]
        outside = [server for server in servers if not ip_address(server.partition("%")[0]).is_loopback]
        if outside:
            return Resolvers(tuple(outside))
        loopback = loopback or next((server for server in servers if ":" not in server), None)
    return Resolvers((gateway,) if loopback else (), loopback)


def set_up(layout: Layout, wiring: Wiring) -> None:
    """The hub link with just the gateways' addresses, the table, and routes to what ports may hold besides."""
    if not succeeds(["ip", "link", "show", layout.hub]):
        # a pair rather than a dummy link, for which not every kernel has the module
        far = f"{layout.hub[:-3]}end"
        run(["ip", "link", "add", layout.hub, "type", "veth", "peer", "name", far])
        run(["ip", "-batch", "-"], stdin=f"link set {layout.hub} up\nlink set {far} up")
    apply(layout, wiring)
    for gateway in set(wiring.gateways) - _held(layout):
        run(["ip", "address", "replace", gateway, "dev", layout.hub])
    for gateway in _held(layout) - set(wiring.gateways):
        run(["ip", "address", "delete", gateway, "dev", layout.hub])
    _lead(layout, wiring.wires)


def apply(layout: Layout, wiring: Wiring) -> None:
    """The rules alone: one transaction, after which just the new ones count."""
    run(["nft", "-f", "-"], stdin=ruleset(layout, wiring, resolvers("").forward_to))


def _held(layout: Layout) -> set[str]:
    shown = json.loads(run(["ip", "-j", "-4", "address", "show", "dev", layout.hub]) or "[]")
    return {f"{one['local']}/{one['prefixlen']}" for link in shown for one in link.get("addr_info", [])}


def _lead(layout: Layout, wires: Iterable[Wire]) -> None:
    """Address pairs lead to the links that may hold them, the first that is there before all others."""
    links = {
        layout.machine(wire.number): [address.removesuffix("/32") for _, address in wire.senders] for wire in wires
    }
    rows = json.loads(run(["ip", "-j", "-4", "route"]) or "[]")
    present = {(row["dst"], row["dev"]) for row in rows if row.get("dev") in links}
    wanted = {(address, link) for link, (_, *pairs) in links.items() for address in pairs}
    for address, link in present - wanted:
        if address != links[link][0]:  # its own, to which its plug leads
            succeeds(["ip", "route", "delete", address, "dev", link])
    for address, link in sorted(wanted - present):
        succeeds(["ip", "route", "append", address, "dev", link])  # fails while its machine is off


def prefer(address: str, link: str) -> None:
    """Of the links that lead to an address, take that one."""
    rows = json.loads(run(["ip", "-j", "-4", "route", "show", address]) or "[]")
    if rows and rows[0].get("dev") != link:
        succeeds(["ip", "route", "delete", address, "dev", link])
        succeeds(["ip", "route", "prepend", address, "dev", link])


def surroundings(layout: Layout) -> list[IPv4Network]:
    """What is routed to or held by links that are not this devcloud's."""
    prefix = f"dc{layout.tag}-"
    routes = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"]) or "[]")
    found = [row["dst"] for row in routes if row["dst"] != "default" and not row.get("dev", "").startswith(prefix)]
    return [IPv4Network(text, strict=False) for text in found]


def tear_down(layout: Layout) -> None:
    """Every link, namespace and rule of this devcloud, whoever left it."""
    prefix = f"dc{layout.tag}-"
    for row in json.loads(run(["ip", "-j", "netns", "list"]) or "[]"):
        if row["name"].startswith(prefix):
            run(["ip", "netns", "delete", row["name"]])
    for link in json.loads(run(["ip", "-j", "link"])):
        if link["ifname"].startswith(prefix):
            succeeds(["ip", "link", "delete", link["ifname"]])  # a deleted namespace takes its links along, later
    succeeds(["nft", "delete", "table", "inet", layout.table])
    if NAMESPACES.is_mount() and not any(NAMESPACES.iterdir()):  # `ip netns` made and mounted it for us
        run(["umount", str(NAMESPACES)])
        NAMESPACES.rmdir()


def plug(layout: Layout, plug: Plug, *more: Plug) -> None:
    """Make the machine's namespace and links, new if they were there; the first names it and leads out."""
    for one in (plug, *more):
        unplug(layout, one.number)
    run(["ip", "netns", "add", layout.machine(plug.number)])
    for one in (plug, *more):
        join(layout, plug.number, one)


def join(layout: Layout, machine: int, plug: Plug) -> None:
    """One more link for a machine that may be running. machine: its number."""
    name, space, mtu = layout.machine(plug.number), layout.machine(machine), str(layout.mtu)
    inner = f"eth{_free_place(space)}"
    run(["ip", "link", "add", name, "mtu", mtu, "type", "veth", "peer", "name", inner, "mtu", mtu, "netns", space])
    inside = ["link set lo up", f"link set {inner} address {plug.mac} up", f"address add {plug.address} dev {inner}"]
    if plug.gateway and machine == plug.number:
        inside.append(f"route add default via {plug.gateway}")
    run(["ip", "-n", space, "-batch", "-"], stdin="\n".join(inside))
    source = f" src {plug.gateway}" if plug.gateway else ""
    pairs = [f"route append {pair} dev {name}" for pair in plug.pairs]
    lines = [f"link set {name} up", f"route replace {plug.host}/32 dev {name}{source}", *pairs]
    run(["ip", "-batch", "-"], stdin="\n".join(lines))
    _tune(name)


def _free_place(space: str) -> int:
    taken = {link["ifname"] for link in json.loads(run(["ip", "-n", space, "-j", "link"]))}
    return next(place for place in range(len(taken) + 1) if f"eth{place}" not in taken)


def _tune(link: str) -> None:
    conf, neighbours = Path("/proc/sys/net/ipv4/conf") / link, Path("/proc/sys/net/ipv4/neigh") / link
    (conf / "proxy_arp").write_text("1")  # machines think they share a wire; the host answers for the others
    (neighbours / "proxy_delay").write_text("0")  # else each first answer waits up to 0.8 s
    (conf / "route_localnet").write_text("1")  # lets DNS be forwarded to a resolver on the host's loopback
    (Path("/proc/sys/net/ipv6/conf") / link / "disable_ipv6").write_text("1")


def unplug(layout: Layout, number: int) -> None:
    name = layout.machine(number)
    succeeds(["ip", "netns", "delete", name])
    succeeds(["ip", "link", "delete", name])
