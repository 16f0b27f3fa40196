"""What machines announce by ARP goes in; addresses that several may hold lead to whoever announced them last.

There is no switch between the machines that would learn it: the host routes, and has to be told.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address

from deploymachine.devcloud import network
from deploymachine.devcloud.firewall import Wire
from deploymachine.devcloud.layout import Layout

ETHERTYPE = 0x0806
ARP = struct.Struct("!HHBBH6s4s6s4s")


def follow(layout: Layout, wires: Callable[[], Iterable[Wire]]) -> None:
    """In the background, for as long as this process lives. wires: the ports that there are by then."""
    threading.Thread(target=_listen, args=(layout, wires), daemon=True).start()


def _listen(layout: Layout, wires: Callable[[], Iterable[Wire]]) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETHERTYPE)) as line:
        while True:
            packet, (link, *_) = line.recvfrom(128)
            address = announced(packet)
            if address is not None and allowed(layout, wires(), link, address):
                network.prefer(address, link)


def announced(packet: bytes) -> str | None:
    """The address that its sender says is its own; None for any other packet."""
    if len(packet) < ARP.size:
        return None
    *_, sender, _, target = ARP.unpack(packet[: ARP.size])
    return str(IPv4Address(sender)) if sender == target else None


def allowed(layout: Layout, wires: Iterable[Wire], link: str, address: str) -> bool:
    """Whether that link's port has the address as a pair, beside its own."""
    pairs = (wire.senders[1:] for wire in wires if layout.machine(wire.number) == link)
    return any(address == pair for senders in pairs for _, pair in senders)
