"""Two appnodes, then one, then two again, while visitors come: no request fails, and nothing mentions what is gone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from fleet import Fleet
from load import TOOLS, load, tool

pytestmark = pytest.mark.devcloud
UP = ("openstack_boot appnode2", "root provision", "appnode launch", "kokki:loadbalancer")
OTHERS = ("appnode1", "loadbalancer1", "dbserver1")


@pytest.fixture(scope="module")
def scaled(fleet: Fleet) -> Iterator[Fleet]:
    """The fleet of all tests, which has one appnode in the end."""
    yield fleet
    fleet.unfinished = True


def certificate(fleet: Fleet) -> Path:
    return fleet.directory / ".deploymachine/certificates/guestbook.pem"


def mentions(fleet: Fleet, server: str, *words: str) -> str:
    """The files of a server's configuration in which one of the words stands."""
    places = "/etc/hosts /etc/nftables.conf /etc/nginx /etc/postgresql /etc/supervisor /srv/sites/*/shared/env"
    return fleet.sudo(server, f"grep -rwlE '{'|'.join(words)}' {places} 2>/dev/null || true").strip()


def assert_forgotten(fleet: Fleet, name: str, address: str) -> None:
    """No other server, and no file here, mentions the server that is gone."""
    assert name not in fleet.fab("openstack_list")
    assert {server: mentions(fleet, server, name, address) for server in OTHERS} == dict.fromkeys(OTHERS, "")
    for file in (fleet.directory / ".deploymachine/known_hosts", fleet.home / ".ssh/known_hosts"):
        assert address not in file.read_text()
    assert " 0 changes" in fleet.fab("everything", "kokki").splitlines()[-1]


def test_down_and_up_under_traffic_without_a_failed_request(scaled: Fleet) -> None:
    fleet = scaled
    gone = fleet.server("appnode2")
    with ExitStack() as stack:
        visitors = stack.enter_context(load(fleet.server("loadbalancer1").address, certificate(fleet)))
        seen = [stack.enter_context(tool(name, visitors.address)) for name in TOOLS if shutil.which(name)]
        visitors.goes_on(100)
        assert set(visitors.by) == {"appnode1", "appnode2"}
        told = fleet.fab("openstack_kill", "appnode2", "--yes")
        down = visitors.by["appnode2"]
        visitors.goes_on(100)
        assert visitors.by["appnode2"] == down
        assert visitors.failures == []
        assert_forgotten(fleet, gone.name, gone.private_ip)
        boot, *others = UP
        fleet.fab(*boot.split())
        _provisioning_that_fails_is_put_back(fleet)
        for line in others:
            fleet.fab(*line.split())
        visitors.goes_on(100)
        assert visitors.by["appnode2"] > down
    assert visitors.failures == []
    assert [one["failed"] for one in seen] == [0] * len(seen)
    assert f"appnode2 (appnode, ACTIVE, {gone.private_ip}" in told
    assert "appnode2: GONE changed" in told


def _provisioning_that_fails_is_put_back(fleet: Fleet) -> None:
    with port_swallowed(fleet, "appnode2", 22, "reject"):
        message = fleet.refused("root", "provision")
    assert "does not answer on port 22" in message
    impatient = fleet.edited("settings.py", "SSH_CONNECT_TIMEOUT = 10", "SSH_CONNECT_TIMEOUT = 3")
    with port_swallowed(fleet, "appnode2", 2222, "drop"), impatient:
        message = fleet.refused("root", "provision")
    assert "everything was put back" in message
    look = fleet.ssh("appnode2", "id deploy; ls /home /etc/ssh/sshd_config.d; nft list tables", user="root", port=22)
    assert "no such user" in look.output
    assert "deploymachine" not in look.output


@contextmanager
def port_swallowed(fleet: Fleet, name: str, port: int, verdict: str) -> Iterator[None]:
    """Something between here and the server that lets nothing through to one port."""
    table = "deploymachine_test"
    rule = f"ip daddr {fleet.server(name).address} tcp dport {port} {verdict}"
    rules = f"table inet {table} {{\n chain out {{\n type filter hook output priority 0\n {rule}\n }}\n}}\n"
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "inet", table], check=True)


def test_killed_again_and_again_in_the_middle_it_ends_the_same(scaled: Fleet) -> None:
    fleet = scaled
    gone = fleet.server("appnode2")
    with load(fleet.server("loadbalancer1").address, certificate(fleet), visitors=2) as visitors:
        for word in ("loadbalancer1: drain", "dbserver1: cook", "appnode2: DELETING"):
            with fleet.start("openstack_kill", "appnode2", "--yes") as running:
                seen = next((line for line in running.stdout if word in line), None)
                os.killpg(running.pid, signal.SIGKILL)
            assert seen is not None, word
        fleet.fab("openstack_kill", "appnode2", "--yes")
        visitors.goes_on(20)
    assert visitors.failures == []
    assert_forgotten(fleet, gone.name, gone.private_ip)
    assert "no server 'appnode2'" in fleet.refused("openstack_kill", "appnode2", "--yes")


def test_the_last_of_a_type_wants_its_name_typed(scaled: Fleet) -> None:
    for line in ("openstack_kill dbserver1 --yes", "openstack_kill loadbalancer1 --yes --yes-i-mean-it appnode1"):
        message = scaled.refused(*line.split())
        assert "typed" in message
    assert {"dbserver1", "loadbalancer1"} <= {server.name for server in scaled.inventory()}
