import pytest

from deploymachine.cloud import connect
from deploymachine.cloud.describe import addresses
from deploymachine.errors import CloudError, UsageError
from deploymachine.hostkeys import HostKeys
from tests.unit.cloud.fake_openstack import make_settings

OURS = {"deploymachine_deployment": "guestbook", "deploymachine_type": "appnode"}


def test_only_the_deployments_own_servers_are_seen(cloud, openstack):
    openstack.add_server("appnode1", OURS)
    openstack.add_server("appnode2", {**OURS, "deploymachine_deployment": "another"})
    openstack.add_server("pet", {})
    assert [(server.name, server.type) for server in cloud.servers()] == [("appnode1", "appnode")]
    assert len(openstack.calls("GET", "/compute/v2.1/servers")) == 1
    with pytest.raises(UsageError, match="There is no server 'pet'"):
        cloud.delete(["pet"])
    assert len(openstack.servers) == 3


@pytest.mark.parametrize("version", ["2.79", "2.47", "2.46", "2.1"])
def test_clouds_years_older_than_todays(cloud, openstack, version):
    openstack.max_microversion = version
    openstack.add_server("appnode1", OURS)
    [server] = cloud.servers()
    assert (server.flavor, server.memory_mb, server.cpus) == ("m1.small", 2048, 1)


def test_a_listing_in_pages(cloud, openstack):
    openstack.page = 7
    for number in range(30):
        openstack.add_server(f"appnode{number}", OURS)
    assert len(cloud.servers()) == 30


def test_delete_leaves_nothing_of_ours_and_everything_of_others(cloud, openstack, settings):
    cloud.boot(["appnode1", "dbserver1"])
    openstack.add_server("appnode1", {**OURS, "deploymachine_deployment": "another"})
    address = cloud.servers().named("appnode1").address
    seen = []
    cloud.delete(["appnode1"], lambda name, phase: seen.append((name, phase)))
    assert seen == [("appnode1", "DELETING"), ("appnode1", "GONE")]
    assert [server.name for server in cloud.servers()] == ["dbserver1"]
    assert HostKeys(settings).get(address, 22) is None
    assert openstack.groups
    cloud.delete(["dbserver1"])
    assert not openstack.groups
    assert [server["name"] for server in openstack.servers.values()] == ["appnode1"]


def test_delete_that_the_cloud_refuses(cloud, openstack):
    cloud.boot(["appnode1"])
    message = "Instance is locked"
    openstack.faults.append(("DELETE", "/compute", 409, {"conflictingRequest": {"code": 409, "message": message}}))
    with pytest.raises(CloudError, match="appnode1 can't be deleted") as caught:
        cloud.delete(["appnode1"])
    assert caught.value.why == "Instance is locked (HTTP 409)"


def test_console_log(cloud):
    cloud.boot(["appnode1"])
    assert cloud.console_log("appnode1") == "booting\nlogin:"
    with pytest.raises(UsageError, match="did you mean 'appnode1'"):
        cloud.console_log("appnode")


def test_addresses():
    def entry(address, kind="fixed"):
        return {"addr": address, "version": 6 if ":" in address else 4, "OS-EXT-IPS:type": kind}

    assert addresses({}) == ("", "")
    assert addresses({"private": [entry("10.0.0.5")]}) == ("10.0.0.5", "")
    assert addresses({"private": [entry("10.0.0.5"), entry("203.0.113.5", "floating")]}) == ("10.0.0.5", "203.0.113.5")
    assert addresses({"Ext-Net": [entry("2a00:1::5"), entry("203.0.113.5")]}) == ("203.0.113.5", "203.0.113.5")
    both = {"a": [entry("10.1.0.5")], "b": [entry("10.2.0.5")], "c": [entry("198.51.100.7")]}
    assert addresses(both) == ("10.1.0.5", "198.51.100.7")
    assert addresses(both, "an id", "b") == ("10.2.0.5", "198.51.100.7")
    assert addresses(both, "b") == ("10.2.0.5", "198.51.100.7")


def test_the_directorys_clouds_yaml_goes_first_and_the_environment_names_the_cloud(tmp_path, openstack, monkeypatch):
    settings = make_settings(tmp_path, openstack, OPENSTACK_CLOUD=None)
    assert len(connect(settings).servers()) == 0  # the only cloud there is
    monkeypatch.setenv("OS_CLOUD", "nowhere")
    with pytest.raises(CloudError, match="no cloud 'nowhere'"):
        connect(settings)
