"""The deployment's own way to real machines: boot, first contact with a known host key, keep, delete."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploymachine.cloud import Cloud, connect
from deploymachine.errors import CloudError
from deploymachine.hostkeys import HostKeys
from deploymachine.inventory import Server
from deploymachine.settings import Settings

# A connection that outlives one test outlives the filter that `connect` sets against what the SDK deprecates in itself.
pytestmark = [pytest.mark.devcloud, pytest.mark.filterwarnings("ignore:::openstack")]

NAMES = ["appnode1", "dbserver1"]
SETTINGS = """
DEPLOYMENT = "cloudtest"
OPENSTACK_CLOUD = "devcloud"
OPENSTACK_NETWORK = "private"
OPENSTACK_SERVERS = {"appnode": [("appnode1", "m1.small")], "dbserver": [("dbserver1", "m1.small")]}
ADMIN_SSH_KEYS = ["id_ed25519.pub"]
"""


@pytest.fixture(scope="module")
def settings(devcloud, tmp_path_factory) -> Settings:
    from deploymachine.settings import load

    site = tmp_path_factory.mktemp("site")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", site / "id_ed25519"], check=True)
    (site / "settings.py").write_text(SETTINGS)
    (site / "clouds.yaml").symlink_to(devcloud.directory / "clouds.yaml")
    return load(site)


@pytest.fixture(scope="module")
def cloud(settings) -> Iterator[Cloud]:
    cloud = connect(settings)
    yield cloud
    if names := [server.name for server in cloud.servers()]:
        cloud.delete(names)
    cloud.close()


@pytest.fixture(scope="module")
def booted(cloud) -> tuple[list[Server], list[tuple[str, str]]]:
    seen: list[tuple[str, str]] = []
    return cloud.boot(NAMES, lambda name, phase: seen.append((name, phase))), seen


def ssh(settings: Settings, server: Server, *command: str) -> subprocess.CompletedProcess[str]:
    options = {
        "UserKnownHostsFile": HostKeys(settings).path,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "IdentityFile": settings.directory / "id_ed25519",
    }
    flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return subprocess.run(["ssh", *flags, f"root@{server.address}", *command], capture_output=True, text=True)


def test_the_servers_are_up_as_described(booted, cloud):
    servers, seen = booted
    for name in NAMES:
        assert [phase for who, phase in seen if who == name] == ["BUILD", "ACTIVE", "cloud-init", "SSH"]
    described = [(s.name, s.type, s.state, s.flavor, s.image) for s in servers]
    assert described == [(name, name[:-1], "ACTIVE", "m1.small", "debian-13") for name in NAMES]
    assert list(cloud.servers()) == servers
    assert all(server.memory_mb > 0 and server.cpus > 0 for server in servers)


def test_the_first_contact_is_with_a_known_key_and_only_that_one(booted, settings):
    for server in booted[0]:
        done = ssh(settings, server, "hostname; ls /etc/ssh/*.pub; cat /etc/ssh/*.pub")
        assert done.returncode == 0, done.stderr
        hostname, file, key = done.stdout.splitlines()
        assert (hostname, file) == (server.name, "/etc/ssh/ssh_host_ed25519_key.pub")
        assert key.startswith(str(HostKeys(settings).get(server.address, 22)))


def test_a_second_boot_keeps_them(booted, cloud):
    seen: list[tuple[str, str]] = []
    assert cloud.boot(NAMES, lambda name, phase: seen.append((name, phase))) == booted[0]
    assert sorted(seen) == [(name, "exists") for name in NAMES]


def test_the_console_is_the_machines_own(booted, cloud):
    assert "appnode1" in cloud.console_log("appnode1")


def test_a_misspelt_image_makes_nothing(booted, cloud, settings):
    with pytest.raises(CloudError, match="There is no image 'debain-13'; did you mean 'debian-13'"):
        Cloud(settings.model_copy(update={"OPENSTACK_IMAGE": "debain-13"}), cloud.connection).boot(["appnode2"])
    assert [server.name for server in cloud.servers()] == NAMES


def test_openstacks_own_command_sees_them(booted, settings):
    command = Path(sys.executable).parent / "openstack-compute"
    listed = subprocess.run([command, "list", "-f", "json"], cwd=settings.directory, capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    assert [(row["Name"], row["Type"]) for row in json.loads(listed.stdout)] == [(n, n[:-1]) for n in NAMES]


def test_an_interrupted_boot_and_its_repeat_end_in_exactly_the_servers_named(cloud):
    def interrupt(_name: str, phase: str) -> None:
        if phase == "ACTIVE":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cloud.boot(["appnode5", "appnode6"], interrupt)
    cloud.boot(["appnode5", "appnode6"])
    assert [server.name for server in cloud.servers() if server.name not in NAMES] == ["appnode5", "appnode6"]
    cloud.delete(["appnode5", "appnode6"])


def test_delete_leaves_no_machine_no_port_no_key(booted, cloud, settings):
    address = booted[0][0].address
    cloud.delete(NAMES)
    assert len(cloud.servers()) == 0
    assert HostKeys(settings).get(address, 22) is None
    others = {server.id for server in cloud.connection.compute.servers()}
    ports = [port for port in cloud.connection.network.ports() if str(port.device_owner).startswith("compute:")]
    assert [port.id for port in ports if port.device_id not in others] == []
    assert not list(cloud.connection.network.security_groups(name="deploymachine-cloudtest"))
