"""Servers on a real Nova: booted, logged in to, kept, listed, and gone without a trace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploymachine.cloud import Cloud
from deploymachine.hostkeys import HostKeys
from deploymachine.inventory import Server

# A connection that outlives one test outlives the filter that `connect` sets against what the SDK deprecates in itself.
pytestmark = [pytest.mark.openstack, pytest.mark.filterwarnings("ignore:::openstack")]

NAMES = ["appnode1", "dbserver1"]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def booted(cloud: Cloud) -> tuple[list[Server], list[tuple[str, str]]]:
    seen: list[tuple[str, str]] = []
    return cloud.boot(NAMES, lambda name, phase: seen.append((name, phase))), seen


def test_they_come_up_with_floating_addresses(booted, cloud):
    servers, seen = booted
    for name in NAMES:
        phases = [phase for who, phase in seen if who == name]
        assert (phases[0], phases[-1]) == ("BUILD", "SSH")
    described = [(s.name, s.type, s.state, s.flavor, s.image) for s in servers]
    assert described == [(name, name[:-1], "ACTIVE", "m1.small", "debian-13") for name in NAMES]
    assert all(server.public_ip and server.private_ip and server.memory_mb for server in servers)
    assert list(cloud.servers()) == servers


def test_root_logs_in_at_the_floating_address_and_user_data_was_run(booted, ssh):
    for server in booted[0]:
        assert server.address == server.public_ip
        told = ssh(server, "hostname; hostname -I; cloud-init query userdata | head -n 1")
        assert told.splitlines()[:3] == [server.name, f"{server.private_ip} ", "#cloud-config"]


def test_a_second_boot_keeps_them(booted, cloud):
    seen: list[tuple[str, str]] = []
    assert cloud.boot(NAMES, lambda name, phase: seen.append((name, phase))) == booted[0]
    assert sorted(seen) == [(name, "exists") for name in NAMES]


def test_the_console_is_the_machines_own(booted, cloud):
    assert "appnode1" in cloud.console_log("appnode1")


def test_openstacks_own_commands_see_them(booted, settings):
    shown = subprocess.run(
        [BIN / "openstack", "--os-cloud", "demo", "server", "list", "-f", "json"],
        cwd=settings.directory,
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
    rows = {row["Name"]: row for row in json.loads(shown.stdout)}
    for server in booted[0]:
        assert rows[server.name]["Status"] == "ACTIVE"
        assert sorted(rows[server.name]["Networks"]["private"]) == sorted([server.private_ip, server.public_ip])
    listed = subprocess.run(
        [BIN / "openstack-compute", "list", "-f", "json"], cwd=settings.directory, capture_output=True, text=True
    )
    assert listed.returncode == 0, listed.stderr
    assert [(row["Name"], row["Type"]) for row in json.loads(listed.stdout)] == [(n, n[:-1]) for n in NAMES]


def test_a_machine_that_died_is_shown_as_stopped_and_is_started_again(booted, cloud, sdk, hypervisor, ssh):
    server = booted[0][0]
    guest = hypervisor.guest(server.id)
    hypervisor.kill(guest)
    compute = sdk("demo").compute
    compute.wait_for_server(compute.get_server(server.id), status="SHUTOFF", interval=1, wait=60)
    assert cloud.boot(NAMES) == booted[0]
    assert ssh(server, "hostname").strip() == server.name


def test_delete_leaves_no_machine_no_port_no_address_no_key(booted, cloud, settings, owned, hypervisor):
    address = booted[0][0].address
    cloud.delete(NAMES)
    assert len(cloud.servers()) == 0
    assert HostKeys(settings).get(address, 22) is None
    assert owned() == []
    assert hypervisor.guests() == []
