"""Boot and kill against devcloud's own API, in every state that a server gets into there; nothing is left behind."""

from __future__ import annotations

import time

import pytest

from deploymachine.cloud import connect
from deploymachine.cloud import watch as watching
from deploymachine.errors import CloudError
from deploymachine.settings import Settings

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUZ2bWwPMhlXzUTJ2i/a4dsQJUyNnBdYbvM2sAPMxkz admin"
NAMES = ["appnode1", "dbserver1"]
SERVERS = {
    "appnode": [("appnode1", "m1.tiny"), ("appnode2", "m1.tiny")],
    "dbserver": [{"name": "dbserver1", "flavor": "ram >= 1024", "data_volumes": [1]}],
}
# Nobody answers SSH at machines that are made up.
pytestmark = pytest.mark.filterwarnings("ignore:::openstack")


@pytest.fixture
def cloud(service, tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "POLLS", (0.02,))
    monkeypatch.setattr(watching, "LAST_POLL", 0.05)
    monkeypatch.setattr("deploymachine.cloud.kill.POLL", 0.02)
    monkeypatch.setattr("deploymachine.cloud.volumes.POLL", 0.02)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "clouds.yaml").symlink_to(service.directory / "clouds.yaml")
    cloud = connect(
        Settings(
            directory=tmp_path / "site",
            DEPLOYMENT="matrix",
            OPENSTACK_CLOUD="devcloud",
            OPENSTACK_NETWORK="private",
            OPENSTACK_FLOATING_IP_POOL="public",
            OPENSTACK_SERVERS=SERVERS,
            ADMIN_SSH_KEYS=[KEY],
        )
    )
    yield cloud
    cloud.close()


def boot(cloud, names=NAMES, yes=False):
    return cloud.boot(names, agree=lambda _: yes, wait_for_ssh=False)


def soon(answer, seconds=10):
    until = time.monotonic() + seconds
    while not (found := answer()) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def state(cloud, name="appnode1"):
    return cloud.servers().named(name).state


def running(cloud, service):
    boot(cloud)


def absent(cloud, service):
    pass


def stopped(cloud, service):
    boot(cloud)
    cloud.connection.compute.stop_server(cloud.servers().named("appnode1").id)
    assert soon(lambda: state(cloud) == "SHUTOFF")


def died(cloud, service):
    boot(cloud)
    service.machines.living.clear()
    assert soon(lambda: state(cloud) == "SHUTOFF")


def resized(cloud, service):
    boot(cloud)
    server = cloud.servers().named("appnode1")
    cloud.connection.compute.resize_server(server.id, cloud.connection.compute.find_flavor("m1.small", False).id)
    assert soon(lambda: state(cloud) == "VERIFY_RESIZE")


def without_group(cloud, service):
    boot(cloud)
    [port] = cloud.connection.network.ports(device_id=cloud.servers().named("appnode1").id)
    cloud.connection.network.update_port(port.id, security_groups=[])


def without_address(cloud, service):
    boot(cloud)
    [ip] = cloud.connection.network.ips(description="deploymachine:matrix/appnode1")
    cloud.connection.network.update_ip(ip.id, port_id=None)


def address_deleted(cloud, service):
    boot(cloud)
    [ip] = cloud.connection.network.ips(description="deploymachine:matrix/appnode1")
    cloud.connection.network.delete_ip(ip.id)


def without_volume(cloud, service):
    boot(cloud)
    [volume] = cloud.connection.block_storage.volumes()
    cloud.connection.compute.delete_volume_attachment(cloud.servers().named("dbserver1").id, volume.id)
    assert soon(lambda: cloud.connection.block_storage.get_volume(volume.id).status == "available")


def without_groups(cloud, service):
    """Somebody took all of the deployment's own rules away."""
    boot(cloud)
    for group in cloud.connection.network.security_groups(name="deploymachine-matrix-dbserver"):
        for rule in group.security_group_rules:
            cloud.connection.network.delete_security_group_rule(rule["id"])


def failed(cloud, service):
    service.machines.broken = "No valid host was found."
    with pytest.raises(CloudError, match="No valid host"):
        boot(cloud)
    service.machines.broken = None
    assert state(cloud) == "ERROR"


def building(cloud, service):
    service.machines.gate.clear()
    hasty = cloud.settings.model_copy(update={"OPENSTACK_BOOT_TIMEOUT": 0.1})
    with pytest.raises(CloudError, match="still in BUILD"):
        type(cloud)(hasty, cloud.connection).boot(NAMES, wait_for_ssh=False)
    service.machines.gate.set()


def half_killed(cloud, service):
    boot(cloud)
    cloud.connection.compute.delete_server(cloud.servers().named("appnode1").id)


def restarted(cloud, service):
    boot(cloud)
    service.restart()


# A machine keeps its first port here: what a boot does about a lost one is tested with the fake OpenStack.
# state -> what becomes of appnode1: the same server or another one; "asks": another one, if that is agreed to.
MATRIX = {
    absent: "other",
    running: "same",
    stopped: "same",
    died: "same",
    resized: "same",
    without_group: "same",
    without_address: "same",
    address_deleted: "same",
    without_volume: "same",
    without_groups: "same",
    failed: "asks",
    building: "same",
    half_killed: "other",
    restarted: "same",
}
states = pytest.mark.parametrize("begin", list(MATRIX), ids=lambda begin: begin.__name__)


def everything(cloud):
    network, storage = cloud.connection.network, cloud.connection.block_storage
    groups = [group for group in network.security_groups() if group.name.startswith("deploymachine-")]
    return {
        "servers": [(server.name, server.state) for server in cloud.servers()],
        "ports": len([port for port in network.ports() if str(port.device_owner).startswith("compute:")]),
        "addresses": sorted((ip.description, ip.port_id is not None) for ip in network.ips()),
        "groups": sorted(group.name for group in groups),
        "rules": sum(rule["direction"] == "ingress" for group in groups for rule in group.security_group_rules),
        "volumes": sorted((volume.name, volume.status) for volume in storage.volumes()),
        "server groups": sorted(group.name for group in cloud.connection.compute.server_groups()),
    }


def whole(resized_too=False):
    return {
        "servers": [("appnode1", "VERIFY_RESIZE" if resized_too else "ACTIVE"), ("dbserver1", "ACTIVE")],
        "ports": 2,
        "addresses": [(f"deploymachine:matrix/{name}", True) for name in NAMES],
        "groups": ["deploymachine-matrix", "deploymachine-matrix-appnode", "deploymachine-matrix-dbserver"],
        "rules": 8,
        "volumes": [("matrix-dbserver1-data1", "in-use")],
        "server groups": ["deploymachine-matrix-appnode"],
    }


EMPTY = {"servers": [], "ports": 0, "addresses": [], "groups": [], "rules": 0, "server groups": []}


@states
def test_boot(cloud, service, begin):
    begin(cloud, service)
    before = {server.name: server.id for server in cloud.servers() if server.state != "DELETING"}
    if MATRIX[begin] == "asks":
        with pytest.raises(CloudError, match="2 of 2 servers did not come up"):
            boot(cloud)
        assert {server.name: server.id for server in cloud.servers()} == before
    boot(cloud, yes=True)
    assert everything(cloud) == whole(begin is resized)
    same = cloud.servers().named("appnode1").id == before.get("appnode1")
    assert same is (MATRIX[begin] == "same")


@states
def test_boot_again_changes_nothing(cloud, service, begin):
    begin(cloud, service)
    boot(cloud, yes=True)
    before = {server.name: server.id for server in cloud.servers()}
    boot(cloud)
    assert {server.name: server.id for server in cloud.servers()} == before
    assert everything(cloud) == whole(begin is resized)


@pytest.mark.parametrize("begin", [begin for begin in MATRIX if begin is not absent], ids=lambda begin: begin.__name__)
def test_kill(cloud, service, begin):
    begin(cloud, service)
    cloud.delete(NAMES)
    found = everything(cloud)
    assert found.pop("volumes") in ([], [("matrix-dbserver1-data1", "available")])  # which is kept
    assert found == EMPTY
    assert service.machines.booted == {}
    boot(cloud)
    assert everything(cloud) == whole()
