"""The real `openstack` command with what a person types for disks, images, sizes and groups; machines are made up."""

from __future__ import annotations

import json

import pytest
from openstack_command import openstack

# What the command line and the SDK deprecate within themselves.
THEIR_WARNINGS = (
    "DeprecationWarning",
    "PendingDeprecationWarning",
    "FutureWarning",
    "openstack.warnings.OpenStackWarning",
)
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in THEIR_WARNINGS]


@pytest.fixture
def cli(service, monkeypatch):
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(service.directory / "clouds.yaml"))
    monkeypatch.setenv("OS_CLOUD", "devcloud")

    def run(line):
        printed = openstack(line.split())
        return json.loads(printed) if "-f json" in line else printed

    return run


def test_a_volume_from_its_making_to_its_end(cli):
    cli("server create --image debian-13 --flavor m1.tiny --network private --wait one")
    made = cli("volume create --size 2 --type fast --property k=v data -f json")
    assert (made["size"], made["type"], made["properties"]) == (2, "fast", {"k": "v"})
    assert cli("server add volume one data -f json")["Device"] == "/dev/vdb"
    row = cli("volume list -f json")[0]
    assert (row["Status"], row["Attached to"][0]["device"]) == ("in-use", "/dev/vdb")
    assert cli("server volume list one -f json")[0]["Volume ID"] == made["id"]
    cli("server remove volume one data")
    cli("volume set --size 3 data")
    assert cli("volume show data -f json")["size"] == 3
    cli("volume delete data")
    assert {row["Name"] for row in cli("volume type list -f json")} == {"standard", "fast"}


def test_an_image_of_a_server_and_a_server_of_it(cli):
    cli("server create --image debian-13 --flavor m1.tiny --network private --wait one")
    cli("server image create --name baked --property a=b --wait one")
    cli("image set --property c=d --name renamed baked")
    shown = cli("image show renamed -f json")
    assert (shown["status"], shown["properties"]["a"], shown["properties"]["c"]) == ("active", "b", "d")
    cli("server create --image renamed --flavor m1.tiny --network private --wait two")
    cli("server create --image renamed --boot-from-volume 4 --flavor m1.tiny --network private --wait three")
    assert cli("server show three -f json")["image"] == "N/A (booted from volume)"
    cli("image delete renamed")
    assert [row["Name"] for row in cli("image list -f json")] == ["debian-12", "debian-13"]


def test_another_size_another_disk_a_lock(cli):
    cli("server create --image debian-13 --flavor m1.tiny --network private --wait one")
    cli("server resize --flavor m1.small --wait one")
    cli("server resize confirm one")
    assert cli("server show one -f json")["flavor"]["original_name"] == "m1.small"
    cli("server rebuild --image debian-12 --wait one")
    cli("server lock --reason mine one")
    assert cli("server show one -f json")["locked_reason"] == "mine"
    cli("server unlock one")


def test_groups_and_zones(cli):
    cli("server group create --policy anti-affinity --rule max_server_per_host=2 apart")
    group = cli("server group show apart -f json")
    words = "server create --image debian-13 --flavor m1.tiny --network private --wait --availability-zone nova-2"
    cli(f"{words} --hint group={group['id']} one")
    assert len(cli("server group show apart -f json")["members"]) == 1
    assert cli("server show one -f json")["OS-EXT-AZ:availability_zone"] == "nova-2"
    zones = {row["Zone Name"] for row in cli("availability zone list --compute -f json")}
    assert zones == {"nova", "nova-2", "nova-3"}
    cli("server group delete apart")
