"""What the unmodified SDK gets when a server is resized, rebuilt, locked or made an image of."""

from __future__ import annotations

import base64
from dataclasses import replace

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


def action(service, server, body, version="2.1"):
    headers = {"X-Auth-Token": service.cloud.token(), "X-OpenStack-Nova-API-Version": version}
    url = f"{service.layout.url}/compute/v2.1/servers/{server.id}/action"
    return requests.post(url, json=body, headers=headers, timeout=10)


def reach(sdk, server, status):
    return sdk.compute.wait_for_server(sdk.compute.get_server(server.id), status=status, interval=0.02, wait=10)


def memory(service, server):
    return service.machines.booted[server.id].memory_mb


def test_a_resize_waits_to_be_confirmed(service, sdk, boot):
    server = boot()
    sdk.compute.resize_server(server.id, sdk.get_flavor("m1.small").id)
    resized = reach(sdk, server, "VERIFY_RESIZE")
    assert (resized.vm_state, resized.flavor["original_name"], memory(service, server)) == ("resized", "m1.small", 2048)
    with pytest.raises(exceptions.ConflictException, match=r"Cannot 'resize' instance .* while it is in vm_state resi"):
        sdk.compute.resize_server(server.id, sdk.get_flavor("m1.medium").id)
    sdk.compute.confirm_server_resize(server.id)
    assert reach(sdk, server, "ACTIVE").flavor["original_name"] == "m1.small"
    with pytest.raises(exceptions.ConflictException, match=r"'confirmResize' instance .* while it is in vm_state act"):
        sdk.compute.confirm_server_resize(server.id)


def test_a_resize_is_reverted_also_of_a_server_that_is_off(service, sdk, boot):
    server = boot()
    sdk.compute.stop_server(server.id)
    reach(sdk, server, "SHUTOFF")
    sdk.compute.resize_server(server.id, sdk.get_flavor("m1.small").id)
    reach(sdk, server, "VERIFY_RESIZE")
    sdk.compute.revert_server_resize(server.id)
    assert reach(sdk, server, "SHUTOFF").flavor["original_name"] == "m1.tiny"
    sdk.compute.start_server(server.id)
    reach(sdk, server, "ACTIVE")
    assert memory(service, server) == 512


@pytest.mark.parametrize(
    ("flavor", "words"), [("m1.tiny", "instances must change flavor"), (None, "Flavor nope could not be found")]
)
def test_a_resize_to_nothing_else_is_refused(sdk, boot, flavor, words):
    server = boot()
    with pytest.raises(exceptions.BadRequestException, match=words):
        sdk.compute.resize_server(server.id, sdk.get_flavor(flavor).id if flavor else "nope")
    assert sdk.get_server("web").status == "ACTIVE"


def test_a_resize_confirms_itself_after_the_window(service, sdk, boot):
    server = boot()
    sdk.compute.resize_server(server.id, sdk.get_flavor("m1.small").id)
    reach(sdk, server, "VERIFY_RESIZE")
    service.cloud.compute.confirm_window = 3600
    assert sdk.compute.get_server(server.id).status == "VERIFY_RESIZE"
    service.cloud.store.put(replace(service.cloud.compute.server(server.id), updated="2025-01-01T00:00:00Z"))
    assert sdk.compute.get_server(server.id).status == "ACTIVE"


def test_a_resize_cut_off_by_the_daemons_end_is_finished(service, sdk, boot):
    server = boot()
    small = sdk.get_flavor("m1.small").id
    halfway = {"status": "RESIZE", "task_state": "resize_finish", "flavor_id": small}
    service.cloud.compute.update(service.cloud.compute.server(server.id), **halfway)
    service.restart()
    reach(sdk, server, "VERIFY_RESIZE")
    assert memory(service, server) == 2048


def test_a_rebuild_brings_image_user_data_key_name_and_metadata(service, sdk, boot):
    server = boot(userdata="#!/bin/sh\nold", meta={"k": "old"})
    sdk.create_keypair("mine")
    data = base64.b64encode(b"#!/bin/sh\nnew").decode()
    changes = {"imageRef": sdk.get_image("debian-12").id, "user_data": data, "key_name": "mine", "metadata": {"k": "n"}}
    answer = action(service, server, {"rebuild": {**changes, "name": "renamed"}}, "2.57")
    assert (answer.status_code, answer.json()["server"]["user_data"]) == (202, data)
    reach(sdk, server, "ACTIVE")
    machine = service.machines.booted[server.id]
    assert (machine.image, machine.user_data, len(machine.keys)) == ("debian-12", "#!/bin/sh\nnew", 1)
    rebuilt = sdk.get_server("renamed")
    assert (rebuilt.private_v4, rebuilt.metadata, rebuilt.key_name) == (server.private_v4, {"k": "n"}, "mine")


@pytest.mark.parametrize(("name", "version"), [("user_data", "2.56"), ("key_name", "2.53"), ("bogus", "2.100")])
def test_a_rebuild_takes_only_what_its_microversion_knows(service, sdk, boot, name, version):
    server = boot()
    answer = action(service, server, {"rebuild": {"imageRef": sdk.get_image("debian-13").id, name: "x"}}, version)
    assert answer.status_code == 400
    assert f"'{name}' was unexpected" in answer.json()["badRequest"]["message"]


def test_a_rebuild_with_an_unknown_image_changes_nothing(service, sdk, boot):
    server = boot()
    answer = action(service, server, {"rebuild": {"imageRef": "nope"}})
    assert answer.json()["badRequest"]["message"] == "Cannot find image for rebuild"
    assert sdk.get_server("web").status == "ACTIVE"


def test_a_server_rebuilt_while_off_stays_off(sdk, boot):
    server = boot()
    sdk.compute.stop_server(server.id)
    reach(sdk, server, "SHUTOFF")
    sdk.compute.rebuild_server(server.id, image=sdk.get_image("debian-13").id)
    assert reach(sdk, server, "SHUTOFF").task_state is None


def test_a_locked_server_is_left_alone(service, sdk, boot):
    server = boot()
    sdk.compute.lock_server(server.id, locked_reason="mine")
    locked = sdk.compute.get_server(server.id)
    assert (locked.is_locked, locked.locked_reason) == (True, "mine")
    for change in (sdk.compute.stop_server, sdk.compute.delete_server):
        with pytest.raises(exceptions.ConflictException, match=f"Instance {server.id} is locked"):
            change(server.id)
    sdk.compute.unlock_server(server.id)
    assert sdk.delete_server(server.id, wait=True, timeout=20)


def test_an_image_of_a_server_outlives_it_and_boots_others(service, sdk, boot):
    server = boot()
    service.machines.gate.clear()
    answer = action(service, server, {"createImage": {"name": "baked", "metadata": {"k": "v"}}}, "2.45")
    identity = answer.json()["image_id"]
    assert sdk.get_image("baked").status in ("queued", "saving")
    assert sdk.compute.get_server(server.id).task_state.startswith("image_")
    with pytest.raises(exceptions.BadRequestException, match=f"Image {identity} is not active"):
        boot("early", image=identity)
    service.machines.gate.set()
    image = sdk.image.wait_for_status(sdk.image.get_image(identity), "active", interval=0.02, wait=10)
    facts = ("k", "image_type", "instance_uuid", "base_image_ref", "os_distro")
    kept = {**image.properties, "os_distro": image.os_distro, "instance_uuid": image.instance_uuid}
    assert [kept[name] for name in facts] == ["v", "snapshot", server.id, sdk.get_image("debian-13").id, "debian"]
    assert (image.visibility, image.size, image.min_disk) == ("private", 5 << 20, 1)
    sdk.delete_server(server.id, wait=True, timeout=20)
    child = boot("child", image="baked")
    assert service.machines.booted[child.id].snapshot == identity
    assert service.machines.booted[child.id].image == "debian-13"


def test_before_2_45_the_image_is_found_by_its_location(service, sdk, boot):
    answer = action(service, boot(), {"createImage": {"name": "baked"}}, "2.44")
    assert (answer.status_code, answer.content) == (202, b"")
    identity = answer.headers["Location"].rpartition("/")[2]
    assert sdk.image.wait_for_status(sdk.image.get_image(identity), "active", interval=0.02, wait=10).name == "baked"


def test_a_snapshots_layers_stay_until_nobody_stands_on_them(service, sdk, boot):
    first = sdk.create_image_snapshot("first", boot().id, wait=True, timeout=20)
    child = boot("child", image="first")
    second = sdk.create_image_snapshot("second", child.id, wait=True, timeout=20)
    sdk.image.delete_image(first.id)
    assert sdk.get_image("first") is None
    sdk.delete_server(child.id, wait=True, timeout=20)
    assert service.machines.snapshots == {first.id, second.id}
    sdk.image.delete_image(second.id)
    assert service.machines.snapshots == set()


def test_a_snapshot_that_fails_leaves_the_server_as_it_was(service, sdk, boot):
    server = boot()
    service.machines.broken = "disk full"
    sdk.compute.create_server_image(server.id, "baked")
    for _ in range(200):
        if sdk.compute.get_server(server.id).task_state is None:
            break
        sdk.compute.get_server(server.id)
    assert sdk.get_image("baked") is None
    assert sdk.compute.get_server(server.id).status == "ACTIVE"


def test_an_image_is_changed_tagged_protected_and_deleted(sdk, boot):
    image = sdk.create_image_snapshot("baked", boot().id, wait=True, timeout=20)
    changed = sdk.image.update_image(image.id, name="renamed", hw_disk_bus="virtio", is_protected=True)
    assert (changed.name, changed.hw_disk_bus, changed.is_protected) == ("renamed", "virtio", True)
    sdk.image.add_tag(image.id, "t")
    assert sdk.image.get_image(image.id).tags == ["t"]
    with pytest.raises(exceptions.ForbiddenException, match="is protected and cannot be deleted"):
        sdk.image.delete_image(image.id)
    sdk.image.update_image(image.id, is_protected=False)
    sdk.image.delete_image(image.id)
    assert sdk.image.find_image(image.id) is None


def test_an_uploaded_image_is_listed_but_can_not_be_booted(service, sdk, boot):
    sdk.create_image("mine", data=b"x" * 4096, disk_format="raw", container_format="bare", wait=True)
    image = sdk.get_image("mine")
    assert (image.status, image.size) == ("active", 4096)
    with pytest.raises(exceptions.SDKException):
        boot("broken", image="mine")
    assert "boots only its own images" in sdk.get_server("broken").fault["message"]


def test_a_snapshot_cut_off_by_the_daemons_end_is_dropped(service, sdk, boot):
    server = boot()
    image = sdk.create_image_snapshot("baked", server.id, wait=True, timeout=20)
    while sdk.compute.get_server(server.id).task_state is not None:
        pass  # the image is there a moment before the server has done with it
    service.cloud.images.change(image.id, status="saving")
    service.cloud.compute.update(service.cloud.compute.server(server.id), task_state="image_uploading")
    service.restart()
    assert sdk.get_image("baked") is None
    assert service.machines.snapshots == set()
    assert (sdk.get_server("web").status, sdk.get_server("web").task_state) == ("ACTIVE", None)
