"""Which ARP packets announce an address, and from whom that is heeded."""

from __future__ import annotations

from pathlib import Path
from socket import inet_aton

from deploymachine.devcloud.announcements import allowed, announced
from deploymachine.devcloud.firewall import Wire
from deploymachine.devcloud.layout import Layout

HEAD, MAC = bytes.fromhex("0001080006040001"), bytes.fromhex("fa163e000001")


def test_only_a_gratuitous_packet_announces():
    own, other = inet_aton("10.9.0.200"), inet_aton("10.9.0.1")
    assert announced(HEAD + MAC + own + bytes(6) + own) == "10.9.0.200"
    assert announced(HEAD + MAC + own + bytes(6) + own + bytes(18)) == "10.9.0.200"  # padded on its way
    assert announced(HEAD + MAC + own + bytes(6) + other) is None
    assert announced(b"short") is None


def test_it_is_heeded_from_a_port_that_has_the_pair():
    layout = Layout(Path("/x"), Path("/x"), 1, "10.9.0.0/24", "10.19.0.0/24", "p", "s", 1400)
    wires = [
        Wire(1, "10.9.0.0/24", (("m", "10.9.0.2"), ("m", "10.9.0.200"))),
        Wire(2, "10.9.0.0/24", (("n", "10.9.0.3"),)),
    ]
    assert allowed(layout, wires, layout.machine(1), "10.9.0.200")
    assert not allowed(layout, wires, layout.machine(2), "10.9.0.200")
    assert not allowed(layout, wires, layout.machine(1), "10.9.0.2")  # its own leads there anyway
    assert not allowed(layout, wires, "eth0", "10.9.0.200")
