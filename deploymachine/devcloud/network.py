"""Subnets, plugs and floating addresses go in; links, namespaces, routes and one nftables table come out.

Every machine has a routed link of its own, no bridge: traffic between machines passes the forward hook, where rules
can see it. The namespace is made and addressed before the machine boots, so its network is up from its first moment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Interface, ip_address
from pathlib import Path

from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.run import run, succeeds

NAMESPACES = Path("/run/netns")
RESOLVED = Path("/run/systemd/resolve/resolv.conf")  # systemd-resolved's own upstreams, behind its loopback stub


@dataclass(frozen=True)
class Plug:
    """A machine's end of its link. address: "10.87.0.5/24". gateway, mac: as text. number: names the link."""

    number: int
    address: str
    gateway: str
    mac: str

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


def ruleset(layout: Layout, floating: Iterable[tuple[str, str]], dns: str | None) -> str:
    """The whole table, replaced at once. floating: pairs (floating address, machine's address)."""
    mapped = "".join(f"ip daddr {outer} dnat ip to {inner}\n" for outer, inner in floating)
    gateway_dns = (
        f'iifname "dc{layout.tag}-*" meta l4proto {{ tcp, udp }} th dport 53 fib daddr type local dnat ip to {dns}\n'
        if dns
        else ""
    )
    return f"""table inet {layout.table}
delete table inet {layout.table}
table inet {layout.table} {{
chain prerouting {{
type nat hook prerouting priority dstnat
{mapped}{gateway_dns}}}
chain output {{
type nat hook output priority -100
{mapped}}}
chain postrouting {{
type nat hook postrouting priority srcnat
iifname "dc{layout.tag}-*" oifname != "dc{layout.tag}-*" masquerade
}}
}}
"""


def set_up(layout: Layout, gateways: Iterable[str], floating: Iterable[tuple[str, str]]) -> None:
    """The hub link with the gateways' addresses (CIDRs), and the table. Repeating it changes nothing."""
    if not succeeds(["ip", "link", "show", layout.hub]):
        # a pair rather than a dummy link, for which not every kernel has the module
        far = f"{layout.hub[:-3]}end"
        run(["ip", "link", "add", layout.hub, "type", "veth", "peer", "name", far])
        run(["ip", "-batch", "-"], stdin=f"link set {layout.hub} up\nlink set {far} up")
    for gateway in gateways:
        run(["ip", "address", "replace", gateway, "dev", layout.hub])
    apply(layout, floating)


def apply(layout: Layout, floating: Iterable[tuple[str, str]]) -> None:
    run(["nft", "-f", "-"], stdin=ruleset(layout, floating, resolvers("").forward_to))


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


def plug(layout: Layout, plug: Plug) -> None:
    """Make the machine's namespace and link, new if they were there."""
    unplug(layout, plug.number)
    name = layout.machine(plug.number)
    mtu = str(layout.mtu)
    run(["ip", "netns", "add", name])
    run(["ip", "link", "add", name, "mtu", mtu, "type", "veth", "peer", "name", "eth0", "mtu", mtu, "netns", name])
    inside = [
        "link set lo up",
        f"link set eth0 address {plug.mac} up",
        f"address add {plug.address} dev eth0",
        f"route add default via {plug.gateway}",
    ]
    run(["ip", "-n", name, "-batch", "-"], stdin="\n".join(inside))
    run(["ip", "-batch", "-"], stdin=f"link set {name} up\nroute replace {plug.host}/32 dev {name} src {plug.gateway}")
    _tune(name)


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
