"""What is wired to what goes in, as values; the text of one nftables table that lets just that through comes out.

A port's rules are asked at its own link: what its machine sends before any address is rewritten, what it is sent after
all of that, so a rule means what the machine sees. Packets of a connection's own direction are asked every time and
only answers pass unasked: a rule that is deleted ends the connections that it had let in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import chain

from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.state import Rule

PROTOCOLS = {  # Neutron's names: IP's numbers
    "icmp": 1,
    "igmp": 2,
    "ipip": 4,
    "tcp": 6,
    "egp": 8,
    "udp": 17,
    "dccp": 33,
    "rsvp": 46,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ospf": 89,
    "vrrp": 112,
    "pgm": 113,
    "sctp": 132,
    "udplite": 136,
}
WITH_PORTS = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}
ANSWERS = "ct direction reply accept\nct state related accept\nct state invalid drop\n"


@dataclass(frozen=True)
class Wire:
    """A port. number: names its link. zone: its subnet's CIDR. senders: pairs (MAC, address or CIDR), its own first.

    groups: ids; None lets everything pass, whoever sends it.
    """

    number: int
    zone: str
    senders: tuple[tuple[str, str], ...]
    groups: tuple[str, ...] | None = ()


@dataclass(frozen=True)
class Zone:
    """A subnet. peers: CIDRs of those that a router joins it with. outside: whether one leads it out."""

    cidr: str
    peers: tuple[str, ...] = ()
    outside: bool = False
    gateway: str = ""


@dataclass(frozen=True)
class Guard:
    """A security group. members: the addresses of its ports, which rules of other groups may name."""

    id: str
    rules: tuple[Rule, ...] = ()
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wiring:
    """All of one devcloud. gateways: CIDRs that the host holds. floating: pairs (floating address, machine's address).

    outer: CIDRs of the floating addresses. front: the address with which machines that have no floating one turn to
    another's. unguarded: let everything through, as where someone else is to decide.
    """

    gateways: tuple[str, ...] = ()
    zones: tuple[Zone, ...] = ()
    wires: tuple[Wire, ...] = ()
    guards: tuple[Guard, ...] = ()
    floating: tuple[tuple[str, str], ...] = ()
    outer: tuple[str, ...] = ()
    front: str = ""
    unguarded: bool = False


def ruleset(layout: Layout, wiring: Wiring, dns: str | None) -> str:
    """The whole table, replaced at once. dns: a resolver on the host's loopback, to which machines' DNS is led."""
    parts = [
        *map(_members, wiring.guards),
        *chain.from_iterable(map(_group, wiring.guards)),
        *chain.from_iterable(_port(layout, wire, wiring) for wire in wiring.wires),
        *(_zone(zone, wiring) for zone in wiring.zones),
        *(() if wiring.unguarded else _filters(layout, wiring)),
        *_translations(layout, wiring, dns),
    ]
    table = f"table inet {layout.table}"
    return f"{table}\ndelete {table}\n{table} {{\n{''.join(parts)}}}\n"


def _chain(name: str, body: str) -> str:
    return f"chain {name} {{\n{body}}}\n"


def _members(guard: Guard) -> str:
    elements = f"elements = {{ {', '.join(guard.members)} }}\n" if guard.members else ""
    return f"set {_set(guard.id)} {{\ntype ipv4_addr\nflags interval\nauto-merge\n{elements}}}\n"


def _set(group_id: str) -> str:
    return f"members-{group_id}"


def _group(guard: Guard) -> Iterator[str]:
    for direction in ("ingress", "egress"):
        rules = [rule for rule in guard.rules if rule.direction == direction and rule.ethertype == "IPv4"]
        yield _chain(f"{direction}-{guard.id}", "".join(f"{matches(rule)} accept\n".lstrip() for rule in rules))


def matches(rule: Rule) -> str:
    """What nftables calls the packets of an IPv4 rule; "" is all of them."""
    far = "saddr" if rule.direction == "ingress" else "daddr"
    parts = []
    if rule.prefix:
        parts.append(f"ip {far} {IPv4Network(rule.prefix, strict=False)}")
    if rule.remote_group_id:
        parts.append(f"ip {far} @{_set(rule.remote_group_id)}")
    return " ".join([*parts, *_protocol(rule)])


def _protocol(rule: Rule) -> Iterator[str]:
    if rule.protocol is None:
        return
    number = protocol_number(rule.protocol)
    yield f"meta l4proto {number}"
    low, high = rule.port_min, rule.port_max
    if number == PROTOCOLS["icmp"]:  # there the two are a type and a code
        if low is not None:
            yield f"icmp type {low}"
        if high is not None:
            yield f"icmp code {high}"
    elif number in WITH_PORTS and low is not None:
        yield f"th dport {low}-{low if high is None else high}"


def protocol_number(name: str) -> int:
    return int(name) if name.isdigit() else PROTOCOLS.get(name, 255)


def _port(layout: Layout, wire: Wire, wiring: Wiring) -> Iterator[str]:
    """What its machine sends, and what it is sent."""
    closed = _unmapped(wiring) + _separate(layout, wire, wiring)
    if wire.groups is None:
        yield _chain(f"from-{wire.number}", "accept\n")
        yield _chain(f"to-{wire.number}", f"{closed}accept\n")
        return
    senders = ", ".join(f"{mac} . {address}" for mac, address in wire.senders)
    own = f"meta nfproto != ipv4 drop\nether saddr . ip saddr != {{ {senders} }} drop\n"
    out = "".join(f"jump egress-{group}\n" for group in wire.groups)
    into = "".join(f"jump ingress-{group}\n" for group in wire.groups)
    yield _chain(f"from-{wire.number}", f"{own}{ANSWERS}{out}drop\n")
    yield _chain(f"to-{wire.number}", f"{closed}{ANSWERS}{into}drop\n")


def _unmapped(wiring: Wiring) -> str:
    """Ends what goes on through a floating address that leads here no more."""
    if not wiring.outer:
        return ""
    pairs = ", ".join(f"{outer} . {inner}" for outer, inner in wiring.floating)
    still = f"ct original ip daddr . ip daddr != {{ {pairs} }} " if pairs else ""
    return f"ct direction original ct original ip daddr {{ {', '.join(wiring.outer)} }} {still}drop\n"


def _separate(layout: Layout, wire: Wire, wiring: Wiring) -> str:
    """From the host and through it only where a router leads out; other machines are held back where they send."""
    outside = any(zone.outside for zone in wiring.zones if zone.cidr == wire.zone)
    return "" if outside else f"ct direction original iifname != {_links(layout)} drop\n"


def _zone(zone: Zone, wiring: Wiring) -> str:
    """Where a subnet's machines may turn to, once floating addresses have been replaced."""
    near = ", ".join([zone.cidr, *zone.peers])
    lines = ["ct direction reply accept\n", f"ip daddr {{ {near} }} accept\n"]
    if zone.outside:
        lines.append("ct status dnat accept\n")
        others = [other.cidr for other in wiring.zones if other.cidr != zone.cidr and other.cidr not in zone.peers]
        lines += [f"ip daddr {{ {', '.join(others)} }} drop\n"] if others else []
    return _chain(f"zone-{_named(zone.cidr)}", "".join([*lines, "accept\n" if zone.outside else "drop\n"]))


def _links(layout: Layout) -> str:
    return f'"dc{layout.tag}-*"'


def _named(cidr: str) -> str:
    return cidr.replace(".", "-").replace("/", "-")


def _filters(layout: Layout, wiring: Wiring) -> Iterator[str]:
    """The hooks: a link that no port has lets nothing pass."""
    links = _links(layout)
    sent = _map("iifname", ((layout.machine(wire.number), f"from-{wire.number}") for wire in wiring.wires))
    # links route to loopback, for DNS; what else listens there, as our API does, is none of the machines' business
    inner = f"iifname {links} ip daddr 127.0.0.0/8 drop\n"
    yield _chain("sent", f"type filter hook prerouting priority -150\n{inner}{sent}iifname {links} drop\n")
    where = _map("iifname", ((layout.machine(wire.number), f"zone-{_named(wire.zone)}") for wire in wiring.wires))
    yield _chain("where", f"type filter hook prerouting priority -90\n{where}")
    given = _map("oifname", ((layout.machine(wire.number), f"to-{wire.number}") for wire in wiring.wires))
    ours = ", ".join([*(zone.cidr for zone in wiring.zones), *wiring.outer])
    # what nobody holds would leave by the default route, to whoever answers there
    lost = f'oifname != "lo" ip daddr {{ {ours} }} drop\n' if ours else ""
    yield _chain("given", f"type filter hook postrouting priority 110\n{given}oifname {links} drop\n{lost}")


def _map(key: str, pairs: Iterable[tuple[str, str]]) -> str:
    verdicts = ", ".join(f'"{link}" : goto {target}' for link, target in pairs)
    return f"{key} vmap {{ {verdicts} }}\n" if verdicts else ""


def _translations(layout: Layout, wiring: Wiring, dns: str | None) -> Iterator[str]:
    links = _links(layout)
    mapped = "".join(f"ip daddr {outer} dnat ip to {inner}\n" for outer, inner in wiring.floating)
    gateway_dns = f"iifname {links} meta l4proto {{ tcp, udp }} th dport 53 fib daddr type local dnat ip to {dns}\n"
    yield _chain("prerouting", f"type nat hook prerouting priority dstnat\n{mapped}{gateway_dns if dns else ''}")
    yield _chain("output", f"type nat hook output priority -100\n{mapped}")
    # from machine to machine through a floating address: the other sees a floating one, as across a router
    faces = ", ".join(f"{inner} : {outer}" for outer, inner in wiring.floating)
    across = f"iifname {links} oifname {links} ct status dnat snat ip to "
    turned = f"{across}ip saddr map {{ {faces} }}\n{across}{wiring.front}\n" if faces and wiring.front else ""
    masked = f"iifname {links} oifname != {links} masquerade\n"
    yield _chain("postrouting", f"type nat hook postrouting priority srcnat\n{turned}{masked}")
