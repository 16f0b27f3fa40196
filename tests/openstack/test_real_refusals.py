"""What a real cloud refuses, in its own words: nothing half made stays, and nothing of others is touched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploymachine.cloud import Cloud, connect
from deploymachine.errors import DeployMachineError

pytestmark = [pytest.mark.openstack, pytest.mark.filterwarnings("ignore:::openstack")]


def changed(cloud: Cloud, **settings: object) -> Cloud:
    return Cloud(cloud.settings.model_copy(update=settings), cloud.connection)


def refused(cloud: Cloud, *names: str) -> str:
    """What booting them says."""
    with pytest.raises(DeployMachineError) as caught:
        cloud.boot(list(names), wait_for_ssh=False)
    return str(caught.value)


def owned(cloud: Cloud) -> list[str]:
    """What this project has that costs money."""
    network = cloud.connection.network
    servers = [f"server {one.name}" for one in cloud.connection.compute.servers()]
    ports = [f"port {one.id}" for one in network.ports() if not one.device_owner.startswith("network:")]
    return [*servers, *ports, *(f"address {one.floating_ip_address}" for one in network.ips())]


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("OPENSTACK_IMAGE", "debain-13", "There is no image 'debain-13'; did you mean 'debian-13'"),
        ("OPENSTACK_NETWORK", "privat", "There is no network 'privat'; did you mean 'private'"),
        ("OPENSTACK_FLOATING_IP_POOL", "pubic", "There is no floating IP pool 'pubic'; did you mean 'public'"),
        ("OPENSTACK_SERVERS", {"appnode": (("appnode1", "m1.smal"),)}, "There is no flavor 'm1.smal'; did you mean"),
    ],
)
def test_a_misspelt_name_makes_nothing(cloud, setting, value, words):
    assert words in refused(changed(cloud, **{setting: value}), "appnode1")
    assert owned(cloud) == []


def test_a_flavor_that_fits_on_no_host_is_told(cloud):
    huge = changed(cloud, OPENSTACK_SERVERS={"appnode": (("appnode1", "m1.huge"),)})
    told = refused(huge, "appnode1")
    assert "No valid host" in told
    assert "appnode1" in told
    cloud.delete(["appnode1"])
    assert owned(cloud) == []


def test_an_exceeded_quota_is_told_with_its_figures(cloud, quota):
    with quota(instances=1):
        told = refused(cloud, "appnode1", "dbserver1")
    assert "Quota exceeded for instances" in told
    assert "openstack quota show" in told
    assert len(cloud.servers()) == 1
    cloud.delete([server.name for server in cloud.servers()])
    assert owned(cloud) == []


def test_no_floating_address_left_is_told(cloud, sdk):
    admin = sdk("admin")
    before = admin.get_network_quotas("demo").floating_ips
    admin.set_network_quotas("demo", floatingip=0)
    try:
        told = refused(cloud, "appnode1")
    finally:
        admin.set_network_quotas("demo", floatingip=before)
    assert "Quota exceeded for resources: ['floatingip']" in told
    cloud.boot(["appnode1"], wait_for_ssh=False)
    assert cloud.servers().named("appnode1").public_ip
    cloud.delete(["appnode1"])
    assert owned(cloud) == []


@pytest.fixture
def second_network(sdk) -> Iterator[None]:
    network = sdk("demo").network
    made = network.create_network(name="second")
    network.create_subnet(network_id=made.id, ip_version=4, cidr="192.0.2.0/24", is_dhcp_enabled=False)
    yield
    network.delete_network(made.id)


def test_several_networks_and_none_named(cloud, second_network):
    told = refused(changed(cloud, OPENSTACK_NETWORK=None), "appnode1")
    assert "private, second" in told
    assert "OPENSTACK_NETWORK" in told
    assert owned(cloud) == []


def test_a_project_without_a_network(settings):
    empty = connect(settings.model_copy(update={"OPENSTACK_CLOUD": "other", "OPENSTACK_NETWORK": None}))
    try:
        assert "Which network?" in refused(empty, "appnode1")
        assert owned(empty) == []
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


def test_two_of_one_name_are_told_and_both_go(cloud, sdk):
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
    assert owned(cloud) == []


def test_one_that_is_still_being_built_is_waited_for_or_killed(cloud):
    interrupted(cloud, "appnode1")
    cloud.boot(["appnode1"], wait_for_ssh=False)
    interrupted(cloud, "dbserver1")
    cloud.delete([server.name for server in cloud.servers()])
    assert owned(cloud) == []


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
