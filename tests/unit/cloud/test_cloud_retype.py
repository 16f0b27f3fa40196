"""Servers of another type in what the cloud notes of them, and servers that are set aside for a while."""

import pytest

from deploymachine.cloud import connect
from deploymachine.errors import UsageError
from tests.unit.cloud.fake_openstack import make_settings


@pytest.fixture
def cloud(tmp_path, openstack, sshd):
    named = {"appnode": [("appnode1", "m1.small")], "dbserver": [("dbserver1", "m1.small")]}
    found = connect(make_settings(tmp_path, openstack, SSH_PORT=sshd, OPENSTACK_SERVERS=named))
    found.boot(["appnode1", "dbserver1"], wait_for_ssh=False)
    yield found
    found.close()


def groups_of(cloud, name):
    names = {group.id: group.name for group in cloud.connection.network.security_groups()}
    ports = cloud.connection.network.ports(device_id=cloud.servers().named(name).id)
    return {names[one] for port in ports for one in port.security_group_ids}


def test_another_type_brings_its_groups_and_gives_up_the_former(cloud):
    common = "deploymachine-guestbook"
    assert groups_of(cloud, "appnode1") == {common, f"{common}-appnode"}
    cloud.retype({"appnode1": "loadbalancer"})
    assert cloud.servers().named("appnode1").type == "loadbalancer"
    assert groups_of(cloud, "appnode1") == {common, f"{common}-loadbalancer"}
    assert groups_of(cloud, "dbserver1") == {common, f"{common}-dbserver"}
    assert f"{common}-appnode" not in {group.name for group in cloud.connection.network.security_groups()}
    cloud.retype({"appnode1": "appnode"})
    cloud.retype({"appnode1": "appnode"})
    assert groups_of(cloud, "appnode1") == {common, f"{common}-appnode"}


def test_who_is_set_aside_is_of_no_deployment_until_brought_back(cloud):
    cloud.set_aside(["dbserver1", "nobody"])
    assert [server.name for server in cloud.servers()] == ["appnode1"]
    assert cloud.aside() == ["dbserver1"]
    with pytest.raises(UsageError, match="no server 'dbserver1'"):
        cloud.servers().named("dbserver1")
    cloud.bring_back(["dbserver1"])
    assert [server.name for server in cloud.servers()] == ["appnode1", "dbserver1"]
    assert cloud.aside() == []


def test_who_is_set_aside_is_found_as_something_nobody_uses_and_deleted_as_that(cloud):
    cloud.set_aside(["dbserver1"])
    found = [leak for leak in cloud.leaks() if leak.kind == "server"]
    assert [(leak.name, leak.data) for leak in found] == [("dbserver1", True)]
    cloud.delete_leaks(found)
    assert cloud.aside() == []
