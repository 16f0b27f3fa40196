"""A server gets another size, or its image anew, while the other one serves; plain ssh finds every one of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fleet import Fleet
from load import load
from test_scaling import certificate

pytestmark = pytest.mark.devcloud


@pytest.fixture(scope="module")
def reworked(fleet: Fleet) -> Iterator[Fleet]:
    yield fleet
    fleet.unfinished = True


def by_config(fleet: Fleet, name: str, *command: str) -> tuple[int, str]:
    """Plain ssh with nothing but the file that was written."""
    done = fleet.try_command("ssh", "-F", ".deploymachine/ssh_config", "-o", "BatchMode=yes", name, *command)
    return done.code, done.output.strip()


def test_plain_ssh_logs_in_everywhere(reworked: Fleet) -> None:
    told = reworked.fab("ssh_config", "--write")
    assert f"Include {reworked.directory}/.deploymachine/ssh_config" in told
    for server in reworked.inventory():
        assert by_config(reworked, server.name, "hostname; id -un") == (0, f"{server.name}\ndeploy")
    assert by_config(reworked, f"appnode1.{reworked_name(reworked)}", "hostname") == (0, "appnode1")


def reworked_name(fleet: Fleet) -> str:
    from deploymachine.settings import load as read

    return read(fleet.directory).DEPLOYMENT


def test_resized_while_the_other_one_serves(reworked: Fleet) -> None:
    fleet = reworked
    before = fleet.server("appnode2")
    flavor = next(name for name in ("m1.medium", "m1.large") if name != before.flavor)  # whose disk is larger
    with load(fleet.server("loadbalancer1").address, certificate(fleet), visitors=4) as visitors:
        visitors.goes_on(30)
        told = fleet.fab("openstack_resize", "appnode2", flavor, "--yes")
        served = visitors.by["appnode2"]
        visitors.goes_on(60)
        assert visitors.by["appnode2"] > served
    assert visitors.failures == []
    assert "loadbalancer1: drain" in told
    after = fleet.server("appnode2")
    assert (after.id, after.private_ip, after.flavor) == (before.id, before.private_ip, flavor)
    assert "makes disks smaller" in fleet.refused("openstack_resize", "appnode2", before.flavor, "--yes")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("openstack_resize appnode2 m9.huge --yes", ["no flavor 'm9.huge'"]),
        ("openstack_resize appnode1 m1.small --yes", ["has the flavor m1.small already"]),
        ("openstack_resize appnod2 m1.small --yes", ["did you mean 'appnode2'"]),
        ("openstack_rebuild appnode2 --image debain-13 --yes", ["no image 'debain-13'"]),
        ("openstack_rebuild dbserver1 --yes", ["'dbserver1' to be typed", "databases"]),
        ("openstack_sudokillem", ["to be typed"]),
        ("openstack_sudokillem --yes-i-mean-it nonsense", ["Nothing was deleted"]),
        ("openstack_console appnode9", ["no server 'appnode9'"]),
    ],
)
def test_mistakes_change_nothing(reworked: Fleet, line: str, words: list[str]) -> None:
    message = reworked.refused(*line.split())
    for word in words:
        assert word in message
    assert len(reworked.inventory()) == 4
    assert all(server.state == "ACTIVE" for server in reworked.inventory())


def test_rebuilt_with_a_new_key_and_back_after_the_usual_lines(reworked: Fleet) -> None:
    fleet = reworked
    before, known = fleet.server("appnode2"), (fleet.directory / ".deploymachine/known_hosts").read_text()
    with load(fleet.server("loadbalancer1").address, certificate(fleet), visitors=2) as visitors:
        told = fleet.fab("openstack_rebuild", "appnode2", "--image", "debian-13", "--yes")
        visitors.goes_on(20)
        assert by_config(fleet, "appnode2", "id -un; ls /srv") == (0, "root")
        for line in ("root provision", "appnode launch", "kokki:loadbalancer"):
            fleet.fab(*line.split())
        served = visitors.by["appnode2"]
        visitors.goes_on(60)
        assert visitors.by["appnode2"] > served
    assert visitors.failures == []
    assert "It is bare now" in told
    after = fleet.server("appnode2")
    assert (after.id, after.private_ip) == (before.id, before.private_ip)
    assert by_config(fleet, "appnode2", "id -un") == (0, "deploy")
    now = (fleet.directory / ".deploymachine/known_hosts").read_text()
    assert {line for line in now.splitlines() if "appnode2" in line}.isdisjoint(known.splitlines())


def test_the_console_is_the_servers_own(reworked: Fleet) -> None:
    assert "appnode2" in reworked.fab("openstack_console", "appnode2")
    assert len(reworked.fab("openstack_console", "appnode2", "--lines", "5").splitlines()) <= 5
