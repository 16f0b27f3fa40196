"""Volumes and snapshots on real machines: what is written stays, wherever it is attached or booted next."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from machine_world import Login, greets, sh, until
from openstack import exceptions

from deploymachine.devcloud.run import run

# What the SDK deprecates within itself; an error there would be swallowed by its waiting loops.
SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.devcloud, *(pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS)]


@pytest.fixture(scope="module")
def login():
    return Login()


@pytest.fixture(scope="module")
def cloud(devcloud):
    with devcloud.connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def boot(cloud, login):
    def one(name, **options):
        wanted = {"image": "debian-13", "flavor": "m1.tiny", "network": "private", "userdata": login.user_data()}
        return cloud.create_server(name, wait=True, auto_ip=False, timeout=90, **{**wanted, **options})

    return one


@pytest.fixture(scope="module")
def pair(cloud, boot):
    servers = [boot("disks-a"), boot("disks-b")]
    yield servers
    for server in servers:
        cloud.delete_server(server.id, wait=True)


def touching(login, file):
    """User-data that also makes a file."""
    head, config = login.user_data().split("\n", 1)
    return f"{head}\n{json.dumps({**json.loads(config), 'runcmd': [['touch', file]]})}"


def devices(devcloud):
    """The block devices of this devcloud's volumes."""
    return [line for line in run(["losetup", "--list", "--noheadings"]).splitlines() if str(devcloud.state) in line]


def status(cloud, volume):
    return cloud.block_storage.get_volume(volume.id).status


def attach(cloud, server, volume):
    made = cloud.compute.create_volume_attachment(server, volume_id=volume.id)
    assert until(lambda: status(cloud, volume) == "in-use")
    return made.device


def detach(cloud, server, volume):
    cloud.compute.delete_volume_attachment(server, volume)
    assert until(lambda: status(cloud, volume) == "available")


@pytest.fixture
def volume(devcloud, cloud):
    made = cloud.create_volume(1, name="data", wait=True, timeout=30)
    yield made
    cloud.delete_volume(made.id, wait=True, timeout=30)
    assert devices(devcloud) == []
    assert not (devcloud.state / "volumes" / made.id).exists()


def test_a_volume_is_a_disk_that_keeps_its_data(cloud, pair, volume, login):
    device = attach(cloud, pair[0], volume)
    with login.connect(pair[0].private_v4) as ssh:
        sh(ssh, f"mkfs.ext4 -q {device} && mkdir -p /mnt/data && mount {device} /mnt/data")
        sh(ssh, "echo kept > /mnt/data/file && sync")
        assert sh(ssh, "readlink -f /dev/disk/by-id/*").strip() == device
        with pytest.raises(exceptions.BadRequestException, match="Volume status must be available"):
            cloud.block_storage.delete_volume(volume.id)
        detach(cloud, pair[0], volume)  # while it is mounted
        assert sh(ssh, f"test -e {device} || mountpoint -q /mnt/data || echo gone") == "gone\n"
    device = attach(cloud, pair[1], volume)
    with login.connect(pair[1].private_v4) as ssh:
        assert sh(ssh, f"mount {device} /mnt && cat /mnt/file && umount /mnt") == "kept\n"
    detach(cloud, pair[1], volume)


def test_an_attached_volume_grows_and_is_there_after_a_reboot(cloud, pair, volume, login):
    device = attach(cloud, pair[0], volume)
    cloud.block_storage.extend_volume(volume, 2)
    assert until(lambda: status(cloud, volume) == "in-use")
    with login.connect(pair[0].private_v4) as ssh:
        assert sh(ssh, f"blockdev --getsize64 {device}").strip() == str(2 << 30)
        before = sh(ssh, "systemctl show -P UserspaceTimestampMonotonic")
        ssh.exec_command("reboot")  # from inside: nothing but the machine itself knows of it
    assert until(lambda: not greets(pair[0].private_v4))
    with login.connect(pair[0].private_v4) as ssh:
        assert sh(ssh, "systemctl show -P UserspaceTimestampMonotonic") != before
        assert sh(ssh, f"blockdev --getsize64 {device}").strip() == str(2 << 30)
    detach(cloud, pair[0], volume)
    with login.connect(pair[0].private_v4) as ssh:
        assert sh(ssh, f"test -e {device} || echo gone") == "gone\n"


def test_a_server_boots_from_a_volume_which_outlives_it(devcloud, cloud, boot, login):
    server = boot("from-volume", boot_from_volume=True, volume_size=3, terminate_volume=False)
    root = cloud.compute.get_server(server.id).attached_volumes[0]["id"]
    with login.connect(server.private_v4) as ssh:
        assert sh(ssh, "findmnt -no FSTYPE /").strip() == "ext4"
        assert sh(ssh, "df -BG --output=size / | tail -1").strip() in ("2G", "3G")
        sh(ssh, "echo kept > /root/file && sync")
    cloud.delete_server(server.id, wait=True)
    assert until(lambda: cloud.block_storage.get_volume(root).status == "available")
    again = boot("from-volume-2", image=None, boot_volume=root, terminate_volume=True)
    with login.connect(again.private_v4) as ssh:
        assert sh(ssh, "cat /root/file; hostname") == "kept\nfrom-volume-2\n"
    cloud.delete_server(again.id, wait=True)
    assert until(lambda: cloud.block_storage.find_volume(root) is None)
    assert devices(devcloud) == []


def test_a_snapshot_boots_new_servers_also_when_its_server_is_gone(devcloud, cloud, boot, login):
    source = boot("source")
    with login.connect(source.private_v4) as ssh:
        sh(ssh, "cloud-init status --wait; echo baked > /etc/baked && rm /etc/issue && mkdir /srv/new && sync")
    image = cloud.create_image_snapshot("baked", source, wait=True, timeout=60, property_of="it")
    cloud.image.update_image(image.id, made_by="me")
    assert cloud.image.get_image(image.id).properties["made_by"] == "me"
    cloud.delete_server(source.id, wait=True)
    server = boot("from-snapshot", image="baked", userdata=touching(login, "/root/ran"))
    with login.connect(server.private_v4) as ssh:
        sh(ssh, "cloud-init status --wait")
        assert sh(ssh, "cat /etc/baked; hostname; ls /root/ran; test -e /etc/issue || echo gone") == (
            "baked\nfrom-snapshot\n/root/ran\ngone\n"
        )
        assert sh(ssh, "cat /var/lib/cloud/data/instance-id").strip() == server.id
    cloud.image.delete_image(image.id)
    assert cloud.image.find_image("baked") is None
    cloud.compute.reboot_server(server.id, "HARD")  # it stands on a deleted image
    assert until(lambda: cloud.get_server(server.id).status == "ACTIVE")
    login.connect(server.private_v4).close()
    cloud.delete_server(server.id, wait=True)
    assert until(lambda: not list((devcloud.state / "snapshots").glob("*")))


def test_resize_changes_what_memory_there_is(cloud, boot, login):
    server = boot("resized")
    with login.connect(server.private_v4) as ssh:
        sh(ssh, "echo kept > /root/file")
    assert until(lambda: _limit_mb(server) == 512)
    for flavor, act, mb in (
        ("m1.small", cloud.compute.revert_server_resize, 512),
        ("m1.small", cloud.compute.confirm_server_resize, 2048),
    ):
        cloud.compute.resize_server(server.id, cloud.get_flavor(flavor).id)
        assert until(lambda: cloud.get_server(server.id).status == "VERIFY_RESIZE")
        assert until(lambda: _limit_mb(server) == 2048)
        act(server.id)
        assert until(lambda: cloud.get_server(server.id).status == "ACTIVE")
        assert until(lambda mb=mb: _limit_mb(server) == mb)
    with login.connect(server.private_v4) as ssh:
        assert sh(ssh, "cat /root/file") == "kept\n"
    cloud.delete_server(server.id, wait=True)


def _limit_mb(server):
    """What the kernel allows the machine, found by the id that its process carries."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        words = entry.read_text().split("\0")
        if words[0] == "systemd-nspawn" and f"--uuid={server.id}" in words:
            for line in (entry.parent / "cgroup").read_text().splitlines():
                number, controllers, path = line.split(":", 2)
                for file in (f"memory{path}/memory.limit_in_bytes", f"{path.lstrip('/')}/memory.max"):
                    found = Path("/sys/fs/cgroup") / file
                    if found.exists() and ("memory" in controllers.split(",") or number == "0"):
                        return int(found.read_text()) >> 20
    return None


def test_rebuild_is_a_new_disk_with_new_user_data_at_the_same_address(cloud, boot, login):
    server = boot("rebuilt")
    with login.connect(server.private_v4) as ssh:
        sh(ssh, "cloud-init status --wait; echo old > /root/file")
    data = base64.b64encode(touching(login, "/root/rebuilt").encode()).decode()
    cloud.compute.rebuild_server(server.id, image=cloud.get_image("debian-13").id, user_data=data)
    assert until(lambda: cloud.get_server(server.id).status == "ACTIVE")
    assert cloud.get_server(server.id).private_v4 == server.private_v4
    with login.connect(server.private_v4) as ssh:
        sh(ssh, "cloud-init status --wait")
        assert sh(ssh, "ls /root") == "rebuilt\n"
    cloud.delete_server(server.id, wait=True)
