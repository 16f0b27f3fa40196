"""Two deployments in one project: what nobody uses of one is found, all of it goes at a word; never the other's."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from fleet import REPOSITORY, Fleet
from machine_world import Devcloud

pytestmark = pytest.mark.devcloud

SETTINGS = """
DEPLOYMENT = "{name}"
OPENSTACK_CLOUD = "devcloud"
OPENSTACK_NETWORK = "private"
OPENSTACK_FLOATING_IP_POOL = "public"
OPENSTACK_SERVERS = {{"appnode": [{{"name": "appnode1", "flavor": "m1.small", "data_volumes": [1]}}]}}
ADMIN_SSH_KEYS = ["~/.ssh/id_ed25519.pub"]
"""


def deployment(devcloud: Devcloud, name: str) -> Fleet:
    """A deployment of one bare server, with an address and a volume that is kept."""
    made = Fleet(devcloud.state.parent / name, devcloud.state.parent / f"home of {name}")
    made.directory.mkdir()
    (made.home / ".ssh").mkdir(parents=True)
    made.command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(made.home / ".ssh/id_ed25519"))
    (made.directory / "settings.py").write_text(SETTINGS.format(name=name))
    (made.directory / "clouds.yaml").symlink_to(devcloud.directory / "clouds.yaml")
    for file in ("fabfile.py", "fabric.yaml"):
        (made.directory / file).write_text((REPOSITORY / file).read_text())
    made.fab("openstack_boot", "appnode1")
    return made


@pytest.fixture(scope="module")
def other(devcloud: Devcloud) -> Iterator[Fleet]:
    made = deployment(devcloud, "other")
    yield made
    made.fab("openstack_sudokillem", "--yes-i-mean-it", "other")


@pytest.fixture(scope="module")
def second(devcloud: Devcloud, other: Fleet) -> Iterator[Fleet]:
    made = deployment(devcloud, "second")
    yield made
    made.fab("openstack_sudokillem", "--yes-i-mean-it", "second")
    assert [server.name for server in other.inventory()] == ["appnode1"]


def openstack(fleet: Fleet, *words: str) -> str:
    return fleet.command("openstack", "--os-cloud", "devcloud", *words)


def rows(fleet: Fleet, *words: str) -> list[dict[str, object]]:
    return list(json.loads(openstack(fleet, *words, "-f", "json")))


def test_nothing_lies_about(second: Fleet) -> None:
    assert "Nothing of the deployment second lies about unused." in second.fab("openstack_leaks")


def test_what_lies_about_is_listed_and_removed_and_nothing_of_others(second: Fleet) -> None:
    openstack(second, "floating", "ip", "create", "--description", "deploymachine:second/appnode9", "public")
    openstack(second, "floating", "ip", "create", "--description", "deploymachine:other/appnode9", "public")
    about = "deployment second, dbserver, kept by deploymachine"
    openstack(second, "security", "group", "create", "--description", about, "deploymachine-second-dbserver")
    mine = "deploymachine_deployment=second"
    openstack(second, "volume", "create", "--size", "1", "--property", mine, "forgotten")
    openstack(second, "volume", "create", "--size", "1", "somebodys")
    told = second.fab("openstack_leaks")
    assert "was appnode9's, leads nowhere" in told
    assert "deploymachine-second-dbserver" in told
    assert "forgotten" in told
    assert "somebodys" not in told
    assert "confirmation" in second.refused("openstack_leaks", "--delete")
    assert "Deleted 3." in second.fab("openstack_leaks", "--delete", "--yes")
    assert "Nothing of the deployment" in second.fab("openstack_leaks")
    assert [one["Name"] for one in rows(second, "volume", "list") if one["Name"] == "somebodys"]
    assert "deploymachine:other/appnode9" in openstack(second, "floating", "ip", "list", "--long")


def test_a_killed_servers_kept_data_is_a_leak_that_only_a_word_more_deletes(second: Fleet) -> None:
    told = second.fab("openstack_kill", "appnode1", "--yes", "--yes-i-mean-it", "appnode1")
    assert "goes too: address" in told
    assert "stays: volume second-appnode1-data1 (1 GB, kept for the next server of that name)" in told
    assert "Kept data stays (1)" in second.fab("openstack_leaks", "--delete", "--yes")
    assert "second-appnode1-data1" in second.fab("openstack_leaks")
    assert "Deleted 1." in second.fab("openstack_leaks", "--delete", "--data", "--yes")
    assert "Nothing of the deployment" in second.fab("openstack_leaks")


def test_all_of_it_goes_at_a_word_and_the_other_deployment_stays(second: Fleet, other: Fleet) -> None:
    before = {server.id for server in other.inventory()}
    second.fab("openstack_boot", "appnode1")
    assert "to be typed" in second.refused("openstack_sudokillem")
    assert "Nothing was deleted" in second.refused("openstack_sudokillem", "--yes-i-mean-it", "secnod")
    told = second.fab("openstack_sudokillem", "--yes-i-mean-it", "second")
    assert "appnode1: GONE changed" in told
    assert "has no servers" in second.fab("openstack_list")
    assert "Nothing of the deployment" in second.fab("openstack_leaks")
    assert "There is nothing of this deployment in the cloud." in second.fab("openstack_sudokillem")
    assert not [one for one in rows(second, "volume", "list") if str(one["Name"]).startswith("second-")]
    assert not [one for one in rows(second, "security", "group", "list") if "second" in str(one["Name"])]
    assert {server.id for server in other.inventory()} == before
    assert "other-appnode1-data1" in openstack(other, "volume", "list", "-f", "value", "-c", "Name")
