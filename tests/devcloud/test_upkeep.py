"""A fleet kept up while visitors come: rebooted one by one, upgraded in batches, cut off in the middle of a deploy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fleet import Fleet
from load import load
from machine_world import connect, until
from releasing import change, nodes, patient, said, trust

pytestmark = pytest.mark.devcloud
BOOT = "systemctl show --property=UserspaceTimestampMonotonic"
PACKAGE = {"name": "test-upkeep", "version": "1.0"}
NEWER = {**PACKAGE, "version": "2.0", "postinst": "#!/bin/sh\n[ ! -e /srv/test-refuse ]\n"}
SHOW = "dpkg-query -W -f '${Version} ${Status}' test-upkeep"
SLOW_START = "import time\n\ntime.sleep(6)\n"  # a switch takes that long at least
ASKING = 2  # visitors
MAKE = """
umask 022
mkdir /root/test-keeps; cp -a /etc/apt /var/lib/apt/lists /root/test-keeps; mv /root/test-keeps /root/test-kept
python3 /srv/test-make_repository.py
apt-get -qq update && apt-get -qq install -y test-upkeep=1.0 >/dev/null
"""
UNMAKE = """
test -d /root/test-kept || exit 0
apt-get -qq purge -y test-upkeep >/dev/null
rm -rf /etc/apt /var/lib/apt/lists /srv/test-* /srv/repository
mv /root/test-kept/apt /etc/apt; mv /root/test-kept/lists /var/lib/apt/lists; rmdir /root/test-kept
"""


def names(fleet: Fleet) -> list[str]:
    return [server.name for server in fleet.inventory()]


def of_type(fleet: Fleet, kind: str) -> list[str]:
    return [server.name for server in fleet.inventory() if server.type == kind]


def on_all(fleet: Fleet, command: str) -> dict[str, str]:
    return {name: fleet.sudo(name, command).strip() for name in names(fleet)}


def test_appnodes_are_rebooted_one_by_one_and_no_visitor_notices(fleet: Fleet) -> None:
    before = on_all(fleet, BOOT)
    with patient(fleet), load(fleet.server(fleet.front).address, trust(fleet), visitors=3) as visitors:
        visitors.goes_on(20)
        told = fleet.fab("appnode", "reboot", "--yes")
        visitors.by.clear()
        assert until(lambda: set(visitors.by) == set(nodes(fleet)), 60), visitors.by
    assert visitors.failures == []
    first, second = rebooted = of_type(fleet, "appnode")
    assert told.index(f"{first}: ok: rebooted") < told.index(f"{second}: reboot")
    assert {name for name, boot in on_all(fleet, BOOT).items() if boot != before[name]} == set(rebooted)


def test_the_others_come_back_with_everything(fleet: Fleet) -> None:
    others = [server.name for server in fleet.inventory() if server.type != "appnode"]
    told = fleet.fab(*(f"server:{name}" for name in others), "reboot", "--yes")
    assert [f"{name}: ok: rebooted" in told for name in others] == [True] * len(others)
    assert until(lambda: fleet.get().status == 200, 60)
    assert fleet.sign("Ada", "after the night").status == 302
    concerns = json.loads(fleet.try_command("fab", "status", "--json").output)["concerns"]
    assert [one for one in concerns if one["about"] not in ("backup", "memory", "disk")] == []


@pytest.fixture
def outdated(fleet: Fleet) -> Iterator[Fleet]:
    """On every server one package of which there is a newer version, and no other news."""
    make = (Path(__file__).parent / "make_repository.py").read_text()
    try:
        for name in names(fleet):
            fleet.sudo(name, "cat > /srv/test-make_repository.py", make)
            fleet.sudo(name, "cat > /srv/test-packages.json", json.dumps([PACKAGE, NEWER]))
            fleet.sudo(name, f"set -e{MAKE}")
        yield fleet
    finally:
        on_all(fleet, UNMAKE)


def test_a_bad_upgrade_meets_one_server_only(outdated: Fleet) -> None:
    assert set(on_all(outdated, f"touch /srv/test-refuse; {SHOW}").values()) == {"1.0 install ok installed"}
    assert outdated.try_command("fab", "everything", "apt.upgrade", "--dry-run").code == 2
    told = outdated.refused("everything", "apt.upgrade")
    assert "test-upkeep" in told
    found = on_all(outdated, SHOW)
    [met] = [name for name, version in found.items() if version != "1.0 install ok installed"]
    assert found[met] == "2.0 install ok half-configured"
    assert met in told
    on_all(outdated, "rm /srv/test-refuse")
    told = outdated.fab("everything", "apt.upgrade")
    assert set(on_all(outdated, SHOW).values()) == {"2.0 install ok installed"}
    assert outdated.try_command("fab", "everything", "apt.upgrade", "--dry-run").code == 0
    assert outdated.get().status == 200


@contextmanager
def unplugged(fleet: Fleet, name: str) -> Iterator[None]:
    """Its link is down: what is sent to it, or by it, is answered by nobody."""
    with connect(fleet.directory) as cloud:
        [port] = cloud.network.ports(device_id=fleet.server(name).id)
        cloud.network.update_port(port, is_admin_state_up=False)
        try:
            yield
        finally:
            cloud.network.update_port(port, is_admin_state_up=True)


def test_a_deploy_whose_link_goes_down_is_told_and_is_done_again(fleet: Fleet) -> None:
    """Who was being answered by that server just then waits in vain; nobody else does."""
    serving = fleet.inventory().serving("appnode")
    victim, kinds = of_type(fleet, "appnode")[-1], sorted({server.type for server in serving})
    wsgi = fleet.site / "guestbook/wsgi.py"
    text = wsgi.read_text()
    wsgi.write_text(text + SLOW_START)
    change(fleet, "cut in switch")
    with patient(fleet), load(fleet.server(fleet.front).address, trust(fleet), visitors=ASKING) as visitors:
        with fleet.start(*kinds, "deploy", "--batch", "100%") as running:
            assert running.stdout is not None
            assert next((line for line in running.stdout if line.startswith(f"{victim}: guestbook: switch")), None)
            with unplugged(fleet, victim):
                told = running.stdout.read()
        assert running.returncode == 1
        assert told.count("error: ") == 1, told
        assert victim in told
        visitors.goes_on(10)
        wsgi.write_text(text)
        change(fleet, "after the cut")
        assert until(lambda: fleet.try_command("fab", *kinds, "deploy", "--lock-wait", "120").code == 0, 300)
        visitors.goes_on(10)
    assert len(visitors.failures) <= ASKING
    assert [one for one in visitors.failures if "timed out" not in one] == []
    assert said(fleet) == {"after the cut"}
    assert fleet.fab(*kinds, "deploy.status").count(" free") == len(nodes(fleet))
