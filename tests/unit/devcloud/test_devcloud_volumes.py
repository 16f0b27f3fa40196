"""What the unmodified SDK gets of volumes: made, attached, booted from, freed."""

from __future__ import annotations

import pytest
import requests
from openstack import exceptions

# What the SDK deprecates within itself; an error there would be swallowed by its waiting loops.
SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS]
WANTED = {"image": "debian-13", "flavor": "m1.tiny", "network": "private", "wait": True, "timeout": 20}


@pytest.fixture
def boot(sdk):
    return lambda name="web", **options: sdk.create_server(name, **{**WANTED, "auto_ip": False, **options})


@pytest.fixture
def volume(sdk):
    made = sdk.block_storage.create_volume(size=2, name="data", volume_type="fast", metadata={"k": "v"})
    return reach(sdk, made, "available")


def reach(sdk, volume, status):
    return sdk.block_storage.wait_for_status(
        sdk.block_storage.get_volume(volume.id), status, failures=[], interval=0.02, wait=10
    )


def raw(service, method, path, body=None, **headers):
    token = {"X-Auth-Token": service.cloud.token()}
    return requests.request(method, service.layout.url + path, json=body, headers={**token, **headers}, timeout=10)


def test_a_volume_is_made_changed_and_deleted(service, sdk, volume):
    assert service.machines.volumes[volume.id][0] == 2
    assert (volume.volume_type, volume.metadata, volume.is_bootable) == ("fast", {"k": "v"}, False)
    sdk.block_storage.set_volume_metadata(volume.id, x="y")
    sdk.block_storage.delete_volume_metadata(volume.id, ["k"])
    sdk.block_storage.update_volume(volume, name="renamed")
    assert sdk.get_volume("renamed").metadata == {"x": "y"}
    sdk.block_storage.extend_volume(volume, 5)
    assert reach(sdk, volume, "available").size == 5
    assert service.machines.volumes[volume.id][0] == 5
    assert sdk.delete_volume(volume.id, wait=True, timeout=20)
    assert service.machines.volumes == {}


def test_types_zones_limits_and_quota_of_volumes(sdk, volume):
    assert [kind.name for kind in sdk.block_storage.types()] == ["standard", "fast"]
    assert [zone.name for zone in sdk.block_storage.availability_zones()] == ["nova", "nova-2", "nova-3"]
    limits = sdk.block_storage.get_limits().absolute
    assert (limits.total_volumes_used, limits.total_gigabytes_used) == (1, 2)
    usage = sdk.block_storage.get_quota_set(sdk.current_project_id, usage=True).usage
    assert (usage["volumes"], usage["gigabytes"]) == (1, 2)


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"size": 0}, 400, "must be an integer and greater than 0"),
        ({"size": "big"}, 400, "'big' is not of type 'integer'"),
        ({"size": 1, "volume_type": "nope"}, 404, "Volume type nope could not be found"),
        ({"size": 1, "availability_zone": "nope"}, 400, "Availability zone 'nope' is invalid"),
        ({"size": 1, "imageRef": "nope"}, 400, "Invalid image identifier"),
        ({"size": 1, "source_volid": "nope"}, 404, "Volume nope could not be found"),
        ({"size": 5000}, 413, "exceeds allowed gigabytes quota"),
    ],
)
def test_a_wrong_volume_is_refused_in_cinders_words(service, sdk, asked, status, words):
    answer = raw(service, "POST", f"/volume/v3/{sdk.current_project_id}/volumes", {"volume": asked})
    assert answer.status_code == status
    assert words in next(iter(answer.json().values()))["message"]
    assert sdk.list_volumes() == []


def test_a_volume_grows_only(sdk, volume):
    with pytest.raises(exceptions.BadRequestException, match="must be greater than current size"):
        sdk.block_storage.extend_volume(volume, 2)


def test_a_volume_that_can_not_be_made_is_in_error_and_can_be_deleted(service, sdk):
    service.machines.broken = "disk full"
    made = sdk.block_storage.create_volume(size=1)
    reach(sdk, made, "error")
    assert sdk.delete_volume(made.id, wait=True, timeout=20)


def test_a_volume_is_attached_and_detached(service, sdk, boot, volume):
    server = boot()
    made = sdk.compute.create_volume_attachment(server, volume_id=volume.id, delete_on_termination=False)
    assert (made.device, made.delete_on_termination) == ("/dev/vdb", False)
    used = reach(sdk, volume, "in-use")
    assert [(one["server_id"], one["device"]) for one in used.attachments] == [(server.id, "/dev/vdb")]
    assert service.machines.plugged == {volume.id: (server.id, "/dev/vdb")}
    assert [one["id"] for one in sdk.get_server("web").attached_volumes] == [volume.id]
    with pytest.raises(exceptions.BadRequestException, match="Volume status must be available or error"):
        sdk.block_storage.delete_volume(volume.id)
    with pytest.raises(exceptions.BadRequestException, match="already attached"):
        sdk.compute.create_volume_attachment(server, volume_id=volume.id)
    sdk.compute.delete_volume_attachment(server, volume)
    assert reach(sdk, volume, "available").attachments == []
    assert service.machines.plugged == {}


def test_what_a_volume_attachment_is_called_by_each_microversion(service, sdk, boot, volume):
    server = boot()
    path = f"/compute/v2.1/servers/{server.id}/os-volume_attachments"
    old = raw(service, "POST", path, {"volumeAttachment": {"volumeId": volume.id}}).json()["volumeAttachment"]
    assert old == {"serverId": server.id, "id": volume.id, "volumeId": volume.id, "device": "/dev/vdb"}
    newest = raw(service, "GET", f"{path}/{volume.id}", **{"X-OpenStack-Nova-API-Version": "2.89"})
    assert set(newest.json()["volumeAttachment"]) == {
        *("serverId", "volumeId", "device", "tag", "delete_on_termination", "attachment_id", "bdm_uuid")
    }
    change = {"volumeAttachment": {"volumeId": volume.id, "delete_on_termination": True}}
    kept = raw(service, "PUT", f"{path}/{volume.id}", change, **{"X-OpenStack-Nova-API-Version": "2.85"})
    assert kept.status_code == 202
    sdk.delete_server(server.id, wait=True, timeout=20)
    assert sdk.list_volumes() == []


def test_an_attachment_that_fails_leaves_the_volume_free(service, sdk, boot, volume):
    server = boot()
    service.machines.broken = "no loop device"
    sdk.compute.create_volume_attachment(server, volume_id=volume.id)
    assert reach(sdk, volume, "available").attachments == []
    assert sdk.get_server("web").status == "ACTIVE"


def test_a_volume_survives_the_death_of_its_server(service, sdk, boot, volume):
    server = boot(volumes=[volume.id])
    assert service.machines.booted[server.id].volumes == ((volume.id, "/dev/vdb"),)
    assert reach(sdk, volume, "in-use").attachments[0]["server_id"] == server.id
    sdk.delete_server(server.id, wait=True, timeout=20)
    assert reach(sdk, volume, "available").attachments == []


@pytest.mark.parametrize("ends", [True, False])
def test_a_server_boots_from_a_new_volume(service, sdk, boot, ends):
    server = boot(boot_from_volume=True, volume_size=7, terminate_volume=ends)
    root = server.attached_volumes[0]["id"]
    assert service.machines.volumes[root] == (7, ["debian-13"], None)
    assert service.machines.booted[server.id].root == root
    assert sdk.get_volume(root).is_bootable
    assert raw(service, "GET", f"/compute/v2.1/servers/{server.id}").json()["server"]["image"] == ""
    assert sdk.get_volume(root).attachments[0]["device"] == "/dev/vda"
    with pytest.raises(exceptions.BadRequestException, match="Cannot detach a root device volume"):
        sdk.compute.delete_volume_attachment(server, root)
    sdk.delete_server(server.id, wait=True, timeout=20)
    assert [volume.id for volume in sdk.list_volumes()] == ([] if ends else [root])
    if not ends:
        again = boot("again", image=None, boot_volume=root)
        assert service.machines.booted[again.id].root == root


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        ([{"source_type": "image", "destination_type": "volume", "boot_index": 0}], "non-zero size specified"),
        ([{"source_type": "blank", "destination_type": "volume", "boot_index": None}], "non-zero size"),
        (
            [{"source_type": "volume", "destination_type": "volume", "uuid": "no", "boot_index": 0}],
            "failed to get volu",
        ),
        ([{"source_type": "blank", "destination_type": "local", "volume_size": 1}], "no ephemeral or swap"),
    ],
)
def test_a_wrong_block_device_is_refused_in_novas_words(service, sdk, devices, words):
    image, flavor = sdk.get_image("debian-13").id, sdk.get_flavor("m1.tiny").id
    rows = [{**({"uuid": image} if one["source_type"] == "image" else {}), **one} for one in devices]
    body = {"name": "x", "flavorRef": flavor, "block_device_mapping_v2": rows}
    body |= {} if any(one.get("boot_index") == 0 for one in rows) else {"imageRef": image}
    answer = raw(service, "POST", "/compute/v2.1/servers", {"server": body})
    assert (answer.status_code, sdk.list_servers(), sdk.list_volumes()) == (400, [], [])
    assert words in answer.json()["badRequest"]["message"]


def test_without_a_root_disk_nothing_boots(service, sdk):
    body = {"name": "x", "flavorRef": sdk.get_flavor("m1.tiny").id}
    answer = raw(service, "POST", "/compute/v2.1/servers", {"server": body})
    assert "Boot sequence for the instance" in answer.json()["badRequest"]["message"]


def test_volumes_survive_the_daemon_and_half_done_work_is_finished(service, sdk, volume):
    other = reach(sdk, sdk.block_storage.create_volume(size=1), "available")
    service.cloud.volumes.update(service.cloud.volumes.get(other.id), status="deleting")
    service.cloud.volumes.update(service.cloud.volumes.get(volume.id), status="creating")
    service.restart()
    assert reach(sdk, volume, "available").name == "data"
    if gone := sdk.block_storage.find_volume(other.id):
        sdk.block_storage.wait_for_delete(gone, interval=0.02, wait=10)
    assert [one.id for one in sdk.list_volumes()] == [volume.id]


def test_a_server_refused_for_its_second_disk_leaves_nothing(service, sdk, volume):
    rows = [
        {"source_type": "volume", "destination_type": "volume", "uuid": volume.id, "boot_index": None},
        {"source_type": "blank", "destination_type": "volume", "volume_size": 5000, "boot_index": None},
    ]
    body = {"name": "x", "flavorRef": sdk.get_flavor("m1.tiny").id, "imageRef": sdk.get_image("debian-13").id}
    ports = len(sdk.list_ports())
    answer = raw(service, "POST", "/compute/v2.1/servers", {"server": {**body, "block_device_mapping_v2": rows}})
    assert answer.status_code == 413
    assert (sdk.list_servers(), len(sdk.list_ports())) == ([], ports)
    assert [(one.id, one.status) for one in sdk.list_volumes()] == [(volume.id, "available")]


@pytest.mark.parametrize(("halfway", "end"), [("attaching", "in-use"), ("detaching", "available")])
def test_an_attachment_cut_off_by_the_daemons_end_is_finished(service, sdk, boot, volume, halfway, end):
    server = boot()
    sdk.compute.create_volume_attachment(server, volume_id=volume.id)
    reach(sdk, volume, "in-use")
    service.cloud.volumes.update(service.cloud.volumes.get(volume.id), status=halfway)
    service.restart()
    assert len(reach(sdk, volume, end).attachments) == (1 if end == "in-use" else 0)
    assert (volume.id in service.machines.plugged) is (end == "in-use")
