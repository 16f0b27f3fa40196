"""Host keys in the servers' metadata: another machine with the same settings pins them, and never over its own."""

import pytest

from deploymachine.cloud import connect
from deploymachine.cloud.userdata import new_host_key
from deploymachine.hostkeys import HostKeys
from tests.unit.cloud.fake_openstack import make_settings


@pytest.fixture
def elsewhere(tmp_path, openstack, settings):
    """The same deployment in another checkout: settings.py and nothing else."""
    (tmp_path / "elsewhere").mkdir()
    cloud = connect(make_settings(tmp_path / "elsewhere", openstack, SSH_PORT=settings.SSH_PORT))
    yield cloud
    cloud.close()


def pinned(cloud, server, port=22):
    return HostKeys(cloud.settings).get(server.address, port, server.name)


def pin_all(cloud):
    servers = cloud.servers()
    assert cloud.pin_host_keys(servers) is None
    return servers


def test_a_checkout_with_settings_alone_pins_what_the_cloud_holds(cloud, elsewhere):
    [server] = cloud.boot(["appnode1"])
    assert pinned(elsewhere, server) is None
    pin_all(elsewhere)
    for port in (22, cloud.settings.SSH_PORT):
        assert pinned(elsewhere, server, port) == pinned(cloud, server, port) == server.host_key


def test_the_key_that_provisioning_made_is_told_and_found(cloud, elsewhere, openstack):
    [server] = cloud.boot(["appnode1"])
    made = new_host_key().public
    HostKeys(cloud.settings).pin("appnode1", server.address, cloud.settings.SSH_PORT, made)
    cloud.publish_host_keys()
    assert next(iter(openstack.servers.values()))["metadata"]["deploymachine_hostkey"] == made
    pin_all(elsewhere)
    assert pinned(elsewhere, server, cloud.settings.SSH_PORT) == made
    before = len(openstack.requests)
    cloud.publish_host_keys()
    assert [method for method, *_ in openstack.requests[before:]] == ["GET"]


def test_what_is_pinned_here_stays(cloud, elsewhere, openstack):
    [server] = cloud.boot(["appnode1"])
    pin_all(elsewhere)
    known = pinned(elsewhere, server)
    next(iter(openstack.servers.values()))["metadata"]["deploymachine_hostkey"] = new_host_key().public
    pin_all(elsewhere)
    assert pinned(elsewhere, server) == known
    HostKeys(elsewhere.settings).unpin("appnode1")
    pin_all(elsewhere)
    assert pinned(elsewhere, server) != known


def test_an_address_that_another_server_had_before(cloud, elsewhere):
    [server] = cloud.boot(["appnode1"])
    HostKeys(elsewhere.settings).pin("appnode7", server.address, 22, new_host_key().public)
    pin_all(elsewhere)
    assert HostKeys(elsewhere.settings).get(server.address, 22) == server.host_key


@pytest.mark.parametrize(
    "nonsense", ["", "AAAA", "ssh-ed25519 AAAA", "ssh-ed25519", "rm -rf /", "ssh-ed25519 !!!\n* ssh-rsa A"]
)
def test_metadata_is_only_text(cloud, elsewhere, openstack, nonsense):
    cloud.boot(["appnode1"])
    next(iter(openstack.servers.values()))["metadata"]["deploymachine_hostkey"] = nonsense
    pin_all(elsewhere)
    assert not (elsewhere.settings.state / "known_hosts").exists()


def test_a_server_without_an_address_is_passed_over(cloud, elsewhere, openstack):
    cloud.boot(["appnode1"])
    next(iter(openstack.servers.values()))["addresses"] = {}
    pin_all(elsewhere)
    cloud.publish_host_keys()
    assert not (elsewhere.settings.state / "known_hosts").exists()
