"""Servers that are on no cloud of ours: one becomes two, begun on one machine and ended on another, under writers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet import Fleet
from machine_world import Login, greets, until
from openstack.connection import Connection
from split_world import Story, killed, signed
from test_splitting import slow

from deploymachine.inventory import Inventory, fixed
from deploymachine.settings import load

pytestmark = [pytest.mark.devcloud, slow, pytest.mark.filterwarnings("ignore:::openstack")]
FRONT, NEW = "box1", "db9"
SETTINGS = """
DEPLOYMENT = "fixed"
OPENSTACK_SERVERS = {{}}
SERVERS = {{
    "dbappbalancer": [{{"name": "box1", "ip": "{box1}"}}],
    "dbserver": [{{"name": "db9", "ip": "{db9}"}}],
}}
"""


class FixedFleet(Fleet):
    """Its servers stand in settings.py."""

    def inventory(self) -> Inventory:
        return Inventory(fixed(load(self.directory)))

    def on_another_machine(self) -> FixedFleet:
        """The same deployment as somebody else has it: all but what is under way."""
        place = self.directory.with_name("elsewhere")
        shutil.copytree(self.directory, place)
        for name in ("split.json", "database-primary"):
            (place / ".deploymachine" / name).unlink(missing_ok=True)
        return FixedFleet(place, self.home, front=self.front)


def booted(cloud: Connection, name: str, group: str, fleet: Fleet) -> Any:
    """A machine with our key for root that was logged into once by hand."""
    login = Login()
    mine = (fleet.home / ".ssh" / "id_ed25519.pub").read_text().strip()
    wanted = {"image": "debian-13", "flavor": "m1.small", "network": "private"}
    told = login.user_data().replace(login.user_line, mine)
    server = cloud.create_server(name, wait=True, auto_ip=False, security_groups=[group], userdata=told, **wanted)
    assert until(lambda: greets(server.private_v4))
    with (fleet.home / ".ssh" / "known_hosts").open("a") as known:
        known.write(f"{server.private_v4} {login.public}\n")
    return server


def made_in(home: Path, cloud: Connection) -> Iterator[FixedFleet]:
    """A deployment of two machines that are just there; they are gone in the end."""
    fleet = FixedFleet(home / "site", home / "home", front=FRONT)
    fleet.directory.mkdir(parents=True)
    fleet.make()
    group = cloud.network.create_security_group(name="splitting-fixed")
    everything = {"direction": "ingress", "protocol": "tcp", "port_range_min": 1, "port_range_max": 65535}
    cloud.network.create_security_group_rule(security_group_id=group.id, **everything)
    servers = {name: booted(cloud, name, group.id, fleet) for name in (FRONT, NEW)}
    try:
        fleet.add_settings(SETTINGS.format(**{name: server.private_v4 for name, server in servers.items()}))
        fleet.fab("root", "provision")
        fleet.fab("dbappbalancer", "launch")
        yield fleet
    finally:
        for server in servers.values():
            cloud.delete_server(server.id, wait=True)
        cloud.network.delete_security_group(group.id)


@pytest.fixture(scope="module")
def fleet(devcloud) -> Iterator[FixedFleet]:
    with devcloud.connect() as cloud:
        yield from made_in(devcloud.state.parent / "splitting-fixed", cloud)


@pytest.fixture(scope="module")
def story(fleet: FixedFleet) -> Iterator[Story]:
    with signed(fleet, 10.0) as told:
        yield told


def test_the_plan_boots_nothing(fleet: FixedFleet) -> None:
    told = fleet.fab("split", "dbappbalancer", "--names", f"dbserver={NEW}", "--plan")
    assert " boot " not in told
    assert '+    "appbalancer": [{"name": "box1"' in told


def test_begun_here_it_is_ended_elsewhere(story: Story, fleet: FixedFleet) -> None:
    begin = ("split", "dbappbalancer", "--names", f"dbserver={NEW}", "--yes")
    killed(fleet, begin, r"^\d+/\d+ copy, and have the copies follow")
    assert "A split of box1 is under way" in fleet.try_command("fab", "check").output
    other = fleet.on_another_machine()
    story.fleet = other
    told, seen = story.does("split", "--resume", "--yes")
    print(seen)
    assert "its journal is taken from the servers" in told
    assert story.leads() == NEW
    story.assert_book()
    assert f"settings.py says that {FRONT} is a dbappbalancer still" in other.refused("split", "--finish", "--yes")
    other.fab("split", "--resume", "--write-settings")
    story.does("split", "--finish", "--yes")
    assert story.kinds() == {FRONT: "appbalancer", NEW: "dbserver"}
    story.assert_settled()
