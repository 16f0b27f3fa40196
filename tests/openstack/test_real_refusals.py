"""What a real cloud refuses, in its own words: nothing half made stays, and nothing of others is touched."""

from __future__ import annotations

import pytest

from deploymachine.cloud import Cloud, connect
from deploymachine.errors import CloudError, DeployMachineError

pytestmark = [pytest.mark.openstack, pytest.mark.filterwarnings("ignore:::openstack")]


def refused(cloud: Cloud, *names: str) -> str:
    """What booting them says."""
    with pytest.raises(DeployMachineError) as caught:
        cloud.boot(list(names), wait_for_ssh=False)
    return str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("OPENSTACK_IMAGE", "debain-13", "There is no image 'debain-13'; did you mean 'debian-13'"),
        ("OPENSTACK_NETWORK", "privat", "There is no network 'privat'; did you mean 'private'"),
        ("OPENSTACK_FLOATING_IP_POOL", "pubic", "There is no floating IP pool 'pubic'; did you mean 'public'"),
        ("OPENSTACK_SERVERS", {"appnode": [("appnode1", "m1.smal")]}, "There is no flavor 'm1.smal'; did you mean"),
    ],
)
def test_a_misspelt_name_makes_nothing(changed, owned, setting, value, words):
    assert words in refused(changed(**{setting: value}), "appnode1")
    assert owned() == []


def test_a_flavor_that_fits_on_no_host_is_told(cloud, changed, owned):
    huge = changed(OPENSTACK_SERVERS={"appnode": [("appnode1", "m1.huge")]})
    told = refused(huge, "appnode1")
    assert "No valid host" in told
    assert "appnode1" in told
    cloud.delete(["appnode1"])
    assert owned() == []


def test_what_exceeds_the_quota_is_told_beforehand(cloud, quota, owned):
    with quota(instances=1):
        told = refused(cloud, "appnode1", "dbserver1")
    assert "servers: 2 wanted, 0 of 1 used" in told
    assert "openstack quota show" in told
    assert owned() == []


def test_what_exceeds_it_meanwhile_is_told_in_novas_words(cloud, quota, owned, monkeypatch):
    monkeypatch.setattr("deploymachine.cloud.quota.check", lambda *_: None)
    with quota(instances=1):
        told = refused(cloud, "appnode1", "dbserver1")
    assert "Quota exceeded for instances" in told
    assert len(cloud.servers()) == 1
    cloud.delete([server.name for server in cloud.servers()])
    assert owned() == []


def test_no_floating_address_left_is_told(cloud, network_quota, owned, monkeypatch):
    with network_quota(floatingip=0):
        assert "floating IPs: 1 wanted, 0 of 0 used" in refused(cloud, "appnode1")
        assert owned() == []
        monkeypatch.setattr("deploymachine.cloud.quota.check", lambda *_: None)
        assert "Quota exceeded for resources: ['floatingip']" in refused(cloud, "appnode1")
    assert cloud.boot(["appnode1"], wait_for_ssh=False)[0].public_ip
    cloud.delete(["appnode1"])
    assert owned() == []


def test_what_a_refused_boot_leaves_is_told_as_leaks(cloud, network_quota, owned):
    with network_quota(port=1):  # the router's
        assert "Maximum number of ports exceeded" in refused(cloud, "appnode1")
    left = cloud.leaks()
    assert {leak.kind for leak in left} <= {"security group", "server group"}
    cloud.delete_leaks(left)
    assert owned() == []


def test_a_disk_that_is_a_volume_where_there_is_no_block_storage(changed, owned):
    server = {"name": "appnode1", "flavor": "m1.small", "volume": 10}
    told = refused(changed(OPENSTACK_SERVERS={"appnode": [server]}), "appnode1")
    assert "The cloud has no block storage" in told
    assert owned() == []


def test_two_that_must_be_kept_apart_on_a_single_host(cloud, changed, owned):
    both = {"appnode": [("appnode1", "m1.small"), ("appnode2", "m1.small")]}
    told = refused(changed(OPENSTACK_SERVERS=both, OPENSTACK_ANTI_AFFINITY="hard"), "appnode1", "appnode2")
    assert "No valid host" in told
    assert sorted(server.state for server in cloud.servers()) == ["ACTIVE", "ERROR"]
    cloud.delete([server.name for server in cloud.servers()])
    assert owned() == []


def test_a_network_that_no_router_joins_with_the_pool_costs_no_address(cloud, changed, owned, second_network):
    told = refused(changed(OPENSTACK_NETWORK="second"), "appnode1")
    assert "is not reachable from subnet" in told
    cloud.delete(["appnode1"])
    assert owned() == []


def test_several_networks_and_none_named(changed, owned, second_network):
    told = refused(changed(OPENSTACK_NETWORK=None), "appnode1")
    assert "private, second" in told
    assert "OPENSTACK_NETWORK" in told
    assert owned() == []


def test_a_project_without_a_network(site, settings):
    empty = connect(settings.model_copy(update={"OPENSTACK_CLOUD": "other", "OPENSTACK_NETWORK": ()}))
    try:
        assert "Which network?" in refused(empty, "appnode1")
        assert not list(empty.connection.compute.servers())
    finally:
        empty.close()


def test_servers_of_others_are_neither_seen_nor_touched(cloud, sdk):
    demo = sdk("demo")
    image, flavor = demo.image.find_image("debian-13"), demo.compute.find_flavor("m1.tiny")
    network = [{"uuid": demo.network.find_network("private").id}]
    wish = {"image_id": image.id, "flavor_id": flavor.id, "networks": network}
    strangers = [
        demo.compute.create_server(name="appnode1", **wish),
        demo.compute.create_server(name="appnode1", metadata={"deploymachine_deployment": "another"}, **wish),
    ]
    try:
        assert len(cloud.servers()) == 0
        with pytest.raises(DeployMachineError, match="appnode1"):
            cloud.delete(["appnode1"])
        mine = cloud.boot(["appnode1"], wait_for_ssh=False)[0]
        cloud.delete(["appnode1"])
        left = {one.id for one in demo.compute.servers()}
        assert left == {one.id for one in strangers}
        assert mine.id not in left
    finally:
        for one in strangers:
            demo.compute.delete_server(one.id)
            demo.compute.wait_for_delete(one, interval=1)


def test_two_of_one_name_are_told_and_both_go(cloud, sdk, owned):
    cloud.boot(["appnode1"], wait_for_ssh=False)
    mine = sdk("demo").compute.get_server(cloud.servers().named("appnode1").id)
    again = sdk("demo").compute.create_server(
        name="appnode1",
        image_id=mine.image.id,
        flavor_id=sdk("demo").compute.find_flavor("m1.small").id,
        networks=[{"uuid": sdk("demo").network.find_network("private").id}],
        metadata=mine.metadata,
    )
    assert again.id in refused(cloud, "appnode1")
    cloud.delete(["appnode1"])
    assert owned() == []


def test_one_that_is_still_being_built_is_waited_for_or_killed(cloud, changed, owned):
    slow = changed(OPENSTACK_SERVERS={"appnode": [("appnode1", "m1.slow")], "dbserver": [("dbserver1", "m1.slow")]})
    interrupted(slow, "appnode1")
    with pytest.raises(CloudError, match="can't be rebuilt") as caught:
        slow.rebuild("appnode1")
    assert "vm_state building" in str(caught.value)
    assert slow.boot(["appnode1"], wait_for_ssh=False)[0].state == "ACTIVE"
    interrupted(slow, "dbserver1")
    assert slow.servers().named("dbserver1").state == "BUILD"
    slow.delete(["appnode1", "dbserver1"])
    assert owned() == []


def interrupted(cloud: Cloud, name: str) -> None:
    """Ctrl-C right after the cloud was asked for the server."""

    def create(*words: object, **wish: object) -> None:
        asked(*words, **wish)
        raise KeyboardInterrupt

    asked = cloud.connection.compute.create_server
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cloud.connection.compute, "create_server", create)
        with pytest.raises(KeyboardInterrupt):
            cloud.boot([name])
