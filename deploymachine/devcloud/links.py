"""The wiring goes in; this machine's links, addresses, routes and rules are as it says."""

from __future__ import annotations

from ipaddress import IPv4Network

from deploymachine.devcloud import network
from deploymachine.devcloud.firewall import Wiring
from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.network import Plug


class Links:
    """The networks' side of the wall to the operating system."""

    layout: Layout

    def serve(self, wiring: Wiring) -> None:
        """All of it. Repeating it changes nothing."""
        network.set_up(self.layout, wiring)

    def guard(self, wiring: Wiring) -> None:
        """Its rules, groups' and floating addresses', at once."""
        network.apply(self.layout, wiring)

    def taken(self) -> list[IPv4Network]:
        """What this machine itself and other devclouds use."""
        return network.surroundings(self.layout)

    def plug_in(self, machine: int, plug: Plug) -> None:
        """One more link for a running machine, addressed. machine: its number."""
        network.unplug(self.layout, plug.number)
        network.join(self.layout, machine, plug)

    def pull_out(self, number: int) -> None:
        """A link of a machine that goes on. What is gone already doesn't matter."""
        network.unplug(self.layout, number)
