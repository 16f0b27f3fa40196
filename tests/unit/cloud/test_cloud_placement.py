"""Where servers stand and what disks they get: zones, server groups, boot and data volumes, reused addresses."""

from collections import Counter

import pytest

from deploymachine.cloud import Asked, boot_spec, connect
from deploymachine.errors import CloudError
from tests.unit.cloud.fake_openstack import make_settings

MARKS = {"deploymachine_deployment": "guestbook", "deploymachine_type": "appnode"}
NODES = {"appnode": [(f"appnode{number}", "m1.small") for number in range(1, 5)]}
NAMES = [name for name, _ in NODES["appnode"]]


@pytest.fixture
def cloud_with(tmp_path, openstack, sshd):
    opened = []

    def make(**more):
        opened.append(connect(make_settings(tmp_path, openstack, SSH_PORT=sshd, **more)))
        return opened[-1]

    yield make
    for cloud in opened:
        cloud.close()


def asked(openstack, key):
    return {one["name"]: one["asked"].get(key) for one in openstack.servers.values() if "asked" in one}


def test_a_single_zone_is_left_to_the_cloud(cloud_with, openstack):
    cloud_with(OPENSTACK_SERVERS=NODES).boot(NAMES)
    assert set(asked(openstack, "availability_zone").values()) == {None}


def test_servers_are_dealt_out_to_the_zones_least_used_first(cloud_with, openstack):
    openstack.zones = [("south", True), ("north", True), ("closed", False)]
    openstack.add_server("appnode1", MARKS, **{"OS-EXT-AZ:availability_zone": "north"})
    openstack.add_server("foreign", {}, **{"OS-EXT-AZ:availability_zone": "south"})
    cloud_with(OPENSTACK_SERVERS=NODES).boot(NAMES)
    assert asked(openstack, "availability_zone") == {"appnode2": "south", "appnode3": "north", "appnode4": "south"}


def test_each_type_is_dealt_out_by_itself(cloud_with, openstack):
    openstack.zones = [("north", True), ("south", True)]
    named = {"appnode": NODES["appnode"][:2], "loadbalancer": [("loadbalancer1", "m1.small")]}
    named["dbserver"] = [("dbserver1", "m1.small")]
    cloud_with(OPENSTACK_SERVERS=named).boot(["appnode1", "appnode2", "loadbalancer1", "dbserver1"])
    zones = asked(openstack, "availability_zone")
    assert {zones["appnode1"], zones["appnode2"]} == {zones["loadbalancer1"], zones["dbserver1"]} == {"north", "south"}


def test_zones_of_the_settings_and_of_one_server(cloud_with, openstack):
    openstack.zones = [("a", True), ("b", True), ("c", True)]
    cloud = cloud_with(OPENSTACK_SERVERS=NODES, OPENSTACK_ZONES=["b", "c"])
    cloud.boot([*NAMES[:3], boot_spec(cloud.settings, "appnode9", asked=Asked(zone="a"))])
    zones = asked(openstack, "availability_zone")
    assert zones.pop("appnode9") == "a"
    assert Counter(zones.values()) == {"b": 2, "c": 1}


def test_a_zone_that_is_not_there_makes_nothing(cloud_with, openstack):
    openstack.zones = [("north", True), ("south", True)]
    with pytest.raises(CloudError, match="There is no availability zone 'nort'; did you mean 'north'") as caught:
        cloud_with(OPENSTACK_ZONES=["nort"]).boot(["appnode1"])
    assert caught.value.why == "the cloud has: north, south"
    assert not openstack.servers
    assert not openstack.groups


def test_servers_of_one_type_are_kept_apart_and_those_that_are_alone_are_not(cloud_with, openstack):
    named = {"appnode": NODES["appnode"][:2], "dbserver": [("dbserver1", "m1.small")]}
    cloud = cloud_with(OPENSTACK_SERVERS=named)
    cloud.boot(["appnode1", "dbserver1"])
    cloud.boot(["appnode2"])
    [group] = openstack.server_groups.values()
    assert (group["name"], group["policy"]) == ("deploymachine-guestbook-appnode", "soft-anti-affinity")
    hints = asked(openstack, "OS-SCH-HNT:scheduler_hints")
    assert hints == {"appnode1": {"group": group["id"]}, "appnode2": {"group": group["id"]}, "dbserver1": None}
    cloud.delete(["appnode1", "appnode2", "dbserver1"])
    assert not openstack.server_groups


@pytest.mark.parametrize(
    ("policy", "version", "told"),
    [
        ("hard", "2.104", {"policy": "anti-affinity"}),
        ("hard", "2.46", {"policies": ["anti-affinity"]}),
        ("soft", "2.46", {"policies": ["soft-anti-affinity"]}),
    ],
)
def test_the_policy_as_old_and_new_clouds_want_it(cloud_with, openstack, policy, version, told):
    openstack.max_microversion = version
    cloud_with(OPENSTACK_SERVERS=NODES, OPENSTACK_ANTI_AFFINITY=policy).boot(NAMES[:1])
    [group] = openstack.server_groups.values()
    assert told.items() <= group.items()


def test_kept_apart_or_not_as_settings_say(cloud_with, openstack):
    cloud_with(OPENSTACK_SERVERS=NODES, OPENSTACK_ANTI_AFFINITY=None).boot(NAMES)
    assert not openstack.server_groups


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_cloud_without_server_groups_boots_all_the_same_and_is_told(cloud_with, openstack, status):
    body = {"forbidden": {"code": status, "message": "Quota exceeded, too many server groups."}}
    openstack.faults.append(("POST", ".*/os-server-groups", status, body))
    cloud = cloud_with(OPENSTACK_SERVERS=NODES)
    cloud.boot(NAMES[:2])
    assert len(openstack.servers) == 2
    [warning] = cloud.warnings
    assert "may share a host" in warning
    assert "too many server groups" in warning


def test_a_full_server_group(cloud_with, openstack):
    openstack.limits = {"maxServerGroupMembers": 3}
    cloud = cloud_with(OPENSTACK_SERVERS=NODES)
    cloud.boot(NAMES)
    hints = asked(openstack, "OS-SCH-HNT:scheduler_hints")
    assert [name for name in NAMES if hints[name] is None] == ["appnode4"]
    assert cloud.warnings == ("appnode4 may share a host with others: a server group has room for 3",)


@pytest.fixture
def storage(openstack):
    openstack.services["block-storage"] = "/volume/v3"


def test_boot_from_a_volume_that_goes_with_the_server(cloud_with, openstack, storage):
    cloud = cloud_with()
    cloud.boot([boot_spec(cloud.settings, "appnode1", asked=Asked(volume=20))])
    [made] = openstack.servers.values()
    assert "imageRef" not in made["asked"]
    [disk] = made["asked"]["block_device_mapping_v2"]
    assert disk == {
        "boot_index": 0,
        "source_type": "image",
        "uuid": openstack.images[0]["id"],
        "destination_type": "volume",
        "volume_size": 20,
        "delete_on_termination": True,
    }


def test_a_cloud_without_block_storage_makes_nothing(cloud_with, openstack):
    cloud = cloud_with()
    with pytest.raises(CloudError, match="no block storage"):
        cloud.boot([boot_spec(cloud.settings, "appnode1", asked=Asked(volume=20))])
    assert not openstack.servers
    assert not openstack.groups


DATA = [{"name": "data", "size": 20}, {"name": "cache", "size": 5, "keep": False}]
WITH_DATA = {"dbserver": [{"name": "dbserver1", "flavor": "m1.small", "data_volumes": DATA}]}


def attached(openstack):
    names = {server["id"]: server["name"] for server in openstack.servers.values()}
    return {v["name"]: [names.get(a["server_id"]) for a in v["attachments"]] for v in openstack.volumes.values()}


def test_data_volumes_are_made_attached_and_marked(cloud_with, openstack, storage):
    cloud_with(OPENSTACK_SERVERS=WITH_DATA).boot(["dbserver1"])
    assert attached(openstack) == {
        "guestbook-dbserver1-data": ["dbserver1"],
        "guestbook-dbserver1-cache": ["dbserver1"],
    }
    data, cache = openstack.volumes.values()
    marks = {"deploymachine_deployment": "guestbook", "deploymachine_server": "dbserver1"}
    assert data["metadata"] == {**marks, "deploymachine_volume": "data", "deploymachine_keep": "yes"}
    assert cache["metadata"] == {**marks, "deploymachine_volume": "cache", "deploymachine_keep": "no"}
    assert (data["size"], cache["size"]) == (20, 5)
    told = {
        body["volumeAttachment"]["volumeId"]: body["volumeAttachment"].get("delete_on_termination")
        for body in openstack.calls("POST", "/compute/v2.1/servers/")
        if "volumeAttachment" in body
    }
    assert told == {data["id"]: None, cache["id"]: True}


def test_data_that_is_kept_survives_a_kill_and_comes_back_with_the_next_boot(cloud_with, openstack, storage):
    cloud = cloud_with(OPENSTACK_SERVERS=WITH_DATA)
    cloud.boot(["dbserver1"])
    data = next(one for one in openstack.volumes.values() if one["name"].endswith("data"))
    cloud.delete(["dbserver1"])
    assert list(openstack.volumes) == [data["id"]]
    cloud.boot(["dbserver1"])
    assert attached(openstack) == {
        "guestbook-dbserver1-data": ["dbserver1"],
        "guestbook-dbserver1-cache": ["dbserver1"],
    }
    assert data["id"] in openstack.volumes


def test_a_volume_that_was_detached_is_attached_again(cloud_with, openstack, storage):
    cloud = cloud_with(OPENSTACK_SERVERS=WITH_DATA)
    cloud.boot(["dbserver1"])
    data = next(iter(openstack.volumes.values()))
    data.update(status="available", attachments=[])
    cloud.boot(["dbserver1"])
    assert data["attachments"]
    assert len(openstack.volumes) == 2


def test_a_volume_at_another_server_is_left_there(cloud_with, openstack, storage):
    cloud = cloud_with(OPENSTACK_SERVERS=WITH_DATA)
    cloud.boot(["dbserver1"])
    data = next(iter(openstack.volumes.values()))
    data["attachments"] = [{"server_id": "another"}]
    with pytest.raises(CloudError, match="guestbook-dbserver1-data is attached to another server") as caught:
        cloud.boot(["dbserver1"])
    assert caught.value.why == "to another"


def test_a_volume_that_fails_is_told_and_never_deleted(cloud_with, openstack, storage):
    openstack.new_volumes_are = "error"
    cloud = cloud_with(OPENSTACK_SERVERS=WITH_DATA)
    for _ in range(2):
        with pytest.raises(CloudError, match="guestbook-dbserver1-data ended in error") as caught:
            cloud.boot(["dbserver1"])
        assert "openstack volume delete" in caught.value.hint
    assert len(openstack.volumes) == 1
    assert len(openstack.servers) == 1


def test_a_volume_that_is_smaller_than_wanted_is_told(cloud_with, openstack, storage):
    cloud = cloud_with(OPENSTACK_SERVERS=WITH_DATA)
    cloud.boot(["dbserver1"])
    next(iter(openstack.volumes.values()))["size"] = 10
    cloud.boot(["dbserver1"])
    assert cloud.warnings == ("guestbook-dbserver1-data has 10 GB, not 20: volumes are not grown",)


FREE = {"port_id": None, "status": "DOWN"}


def test_free_addresses_of_the_deployment_are_reused_and_nobody_elses(cloud_with, openstack):
    openstack.floating = {
        "own": {
            **FREE,
            "id": "own",
            "floating_ip_address": "127.88.1.1",
            "description": "deploymachine:guestbook/appnode2",
        },
        "gone": {
            **FREE,
            "id": "gone",
            "floating_ip_address": "127.88.1.2",
            "description": "deploymachine:guestbook/old7",
        },
        "other": {
            **FREE,
            "id": "other",
            "floating_ip_address": "127.88.1.3",
            "description": "deploymachine:guest/appnode1",
        },
        "longer": {
            **FREE,
            "id": "longer",
            "floating_ip_address": "127.88.1.4",
            "description": "deploymachine:guestbook2/a",
        },
        "plain": {**FREE, "id": "plain", "floating_ip_address": "127.88.1.5", "description": ""},
    }
    cloud = cloud_with(OPENSTACK_SERVERS=NODES, OPENSTACK_FLOATING_IP_POOL="public")
    servers = {server.name: server.public_ip for server in cloud.boot(["appnode1", "appnode2", "appnode3"])}
    assert servers["appnode2"] == "127.88.1.1"
    assert "127.88.1.2" in (servers["appnode1"], servers["appnode3"])
    assert len(openstack.floating) == 6  # one was new
    assert [openstack.floating[name]["port_id"] for name in ("other", "longer", "plain")] == [None, None, None]
    marks = {ip["floating_ip_address"]: ip["description"] for ip in openstack.floating.values()}
    for name, address in servers.items():
        assert marks[address] == f"deploymachine:guestbook/{name}"


def test_an_address_that_was_taken_away_is_given_back(cloud_with, openstack):
    cloud = cloud_with(OPENSTACK_SERVERS=NODES, OPENSTACK_FLOATING_IP_POOL="public")
    [before] = cloud.boot(["appnode1"])
    next(iter(openstack.floating.values()))["port_id"] = None
    assert cloud.servers().named("appnode1").public_ip == ""
    [after] = cloud.boot(["appnode1"])
    assert after.public_ip == before.public_ip
