"""Facts, read from files that the test writes and from this machine."""

import os

import pytest
from kokki import System, secrets


@pytest.fixture
def system(world):
    world.etc("etc/os-release", 'NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n')
    world.etc("etc/hosts", f"127.0.1.1 {os.uname().nodename}.example.org {os.uname().nodename}\n")
    world.etc("proc/meminfo", "MemTotal:        2048000 kB\n")
    return System()


def test_the_distribution(system):
    assert system.platform == "debian"
    assert system.lsb == {"id": "Debian", "release": "12", "codename": "bookworm", "description": ""}


def test_names_memory_processors(system):
    assert system.fqdn == f"{system.hostname}.example.org"
    assert (system.memory_mb, system.cpus >= 1, system.os) == (2000, True, "linux")


def test_a_control_groups_limit_counts(system, world):
    world.etc("sys/fs/cgroup/memory.max", str(512 * 2**20))
    assert system.memory_mb == 512


def test_containers_and_machines(system, world):
    world.etc("sys/class/dmi/id/sys_vendor", "QEMU\n")
    assert (system.virtualization, system.ec2) == ("kvm", False)
    world.etc("run/systemd/container", "systemd-nspawn\n")
    assert System().virtualization == "systemd-nspawn"


def test_addresses(system):
    assert system.interfaces["lo"] == ["127.0.0.1"]
    assert "127.0.0.1" not in system.ipv4


def test_nothing_is_looked_up_before_it_is_asked_for(system):
    assert vars(system) == {}


def test_no_secret_is_known_at_first():
    assert secrets.redact("anything") == "anything"
