"""Real machines through the real SDK and the real command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from leftovers import leftovers, of_machine, processes
from machine_world import Login, connect, greets, let_in, sh, until

from deploymachine.devcloud import control, layout, process
from deploymachine.devcloud.state import Port, Server, Store

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


@pytest.fixture
def boot(cloud, login) -> Iterator[Callable[..., object]]:
    made = []

    def one(name: str, **options: object):
        wanted = {
            "image": "debian-13",
            "flavor": "m1.tiny",
            "network": "private",
            "userdata": login.user_data(),
            "timeout": 60,
        }
        made.append(cloud.create_server(name, wait=True, auto_ip=False, **{**wanted, **options}))
        return made[-1]

    yield one
    for server in made:
        cloud.delete_server(server.id, wait=True)


@pytest.fixture(scope="module")
def pair(cloud, login):
    """Two machines for the tests that change nothing in them."""
    wanted = {
        "image": "debian-13",
        "flavor": "m1.tiny",
        "network": "private",
        "userdata": login.user_data(),
        "timeout": 60,
    }
    cloud.create_keypair("login", login.user_line)
    servers = [
        cloud.create_server(name, wait=True, auto_ip=False, key_name="login", meta={"role": name}, **wanted)
        for name in ("pair-a", "pair-b")
    ]
    yield servers
    for server in servers:
        cloud.delete_server(server.id, wait=True)


def number_of(devcloud, server) -> int:
    ports = Store(devcloud.state / "state.json").all(Port)
    return next(port.number for port in ports if port.device_id == server.id)


def test_a_server_is_logged_into_with_the_host_key_handed_over(pair, login):
    with login.connect(pair[0].private_v4) as ssh:
        assert sh(ssh, "hostname").strip() == "pair-a"
        assert sh(ssh, "cloud-init status --wait").strip().endswith("status: done")
        assert sh(ssh, "cat /etc/ssh/ssh_host_ed25519_key.pub").split()[1] == login.public.split()[1]
        assert sh(ssh, "ls /etc/ssh/ssh_host_*_key").split() == ["/etc/ssh/ssh_host_ed25519_key"]
        assert login.user_line in sh(ssh, "cat /home/debian/.ssh/authorized_keys")  # the keypair's


def test_a_machine_is_a_whole_systemd_host(pair, login):
    with login.connect(pair[0].private_v4) as ssh:
        assert sh(ssh, "systemctl is-system-running --wait").strip() == "running"
        sh(ssh, "sysctl -w net.ipv4.ip_nonlocal_bind=1")
        sh(ssh, "systemd-run --wait -p PrivateTmp=yes -p ProtectSystem=strict -p NoNewPrivileges=yes true")


def test_machines_reach_each_other_and_the_package_mirror(pair, login):
    with login.connect(pair[0].private_v4) as ssh:
        sh(ssh, f"ping -c1 -W5 {pair[1].private_v4}")
        sh(ssh, f"ping -c1 -W5 {pair[1].private_v4.rpartition('.')[0]}.1")
        assert "Err:" not in sh(ssh, "apt-get update 2>&1")
        sh(ssh, "apt-get install -qq --no-install-recommends -y nftables && nft add table inet mine")


def test_a_floating_address_leads_to_its_machine(cloud, pair, login):
    server = cloud.add_auto_ip(pair[1], wait=True)
    address = server if isinstance(server, str) else cloud.get_server(pair[1].id).public_v4
    with login.connect(address) as ssh:
        assert sh(ssh, "hostname").strip() == "pair-b"
    with login.connect(pair[0].private_v4) as ssh:  # and from machine to machine
        assert sh(ssh, f"curl -s --max-time 1 telnet://{address}:22 || true").startswith("SSH-")
    cloud.delete_floating_ip(cloud.list_floating_ips()[0].id)
    assert cloud.get_server(pair[1].id).public_v4 == ""


def test_the_command_line_sees_what_is_there(devcloud, pair):
    def cli(*words: str) -> str:
        command = [str(Path(sys.executable).with_name("openstack")), *words]
        config = str(devcloud.directory / "clouds.yaml")
        done = subprocess.run(
            command,
            env={**os.environ, "OS_CLIENT_CONFIG_FILE": config, "OS_CLOUD": devcloud.cloud},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    rows = {row["Name"]: row for row in json.loads(cli("server", "list", "-f", "json"))}
    assert rows["pair-a"]["Status"] == "ACTIVE"
    assert rows["pair-a"]["Networks"] == {"private": [pair[0].private_v4]}
    assert (rows["pair-a"]["Image"], rows["pair-a"]["Flavor"]) == ("debian-13", "m1.tiny")
    assert json.loads(cli("server", "show", "pair-a", "-f", "json"))["properties"] == {"role": "pair-a"}
    assert "cloud-init" in until(lambda: cli("console", "log", "show", "pair-a"))
    named = {row["Name"] for row in json.loads(cli("image", "list", "-f", "json"))}
    assert named == {"debian-12", "debian-13", "prepared"}
    created = cli(
        *("server", "create", "--image", "debian-13", "--flavor", "m1.tiny", "--network", "private", "--wait"),
        *("-f", "value", "-c", "status", "from-cli"),
    )
    assert created.strip() == "ACTIVE"
    cli("server", "delete", "--wait", "from-cli")
    assert "from-cli" not in cli("server", "list")


def test_deleting_a_server_frees_everything(devcloud, cloud, boot):
    server = boot("gone")
    number = number_of(devcloud, server)
    assert of_machine(devcloud.layout, number, server.id)
    cloud.delete_server(server.id, wait=True)
    assert of_machine(devcloud.layout, number, server.id) == []
    assert cloud.get_server("gone") is None
    assert not [port for port in cloud.list_ports() if port.device_id == server.id]


def test_a_killed_machine_shows_as_shutoff_and_starts_again(devcloud, cloud, boot, login):
    server = boot("killed")
    login.connect(server.private_v4).close()
    name = devcloud.layout.machine(number_of(devcloud, server))
    os.kill(_nspawn(name), signal.SIGKILL)
    assert until(lambda: cloud.get_server(server.id).status == "SHUTOFF")
    cloud.compute.start_server(server.id)
    assert until(lambda: cloud.get_server(server.id).status == "ACTIVE")
    login.connect(server.private_v4).close()


def _nspawn(name: str) -> int:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        words = entry.read_text().split("\0")
        if words[0] == "systemd-nspawn" and f"--machine={name}" in words:
            return int(entry.parent.name)
    raise AssertionError(f"{name} does not run: {processes()}")


def test_stop_start_and_reboot_keep_the_disk(cloud, boot, login):
    server = boot("cycled")
    with login.connect(server.private_v4) as ssh:
        sh(ssh, "echo kept > /root/file")
    cloud.compute.stop_server(server.id)
    assert until(lambda: cloud.get_server(server.id).status == "SHUTOFF")
    assert not greets(server.private_v4)
    cloud.compute.start_server(server.id)
    with login.connect(server.private_v4) as ssh:
        assert sh(ssh, "cat /root/file") == "kept\n"
        before = sh(ssh, "systemctl show -P UserspaceTimestampMonotonic")
        ssh.exec_command("reboot")  # from inside
    assert until(lambda: not greets(server.private_v4))
    with login.connect(server.private_v4) as ssh:
        assert sh(ssh, "systemctl show -P UserspaceTimestampMonotonic") != before
        assert sh(ssh, "cat /root/file") == "kept\n"


def test_memory_is_limited_to_the_flavor(boot, login):
    server = boot("small")
    with login.connect(server.private_v4) as ssh:
        hog = "python3 -c 'x = bytearray(700 * 2**20)'"
        _, stdout, _ = ssh.exec_command(hog, timeout=60)
        assert stdout.channel.recv_exit_status() != 0


def test_a_killed_daemon_comes_back_and_knows_its_machines(devcloud, cloud, pair, login):
    daemon = control.running(devcloud.state)
    os.kill(daemon.pid, signal.SIGKILL)
    assert until(lambda: control.running(devcloud.state) is None)
    assert not control.status().answering
    assert [row.state for row in control.status().rows if row.name.startswith("pair-")] == ["ACTIVE", "ACTIVE"]
    assert control.up(devcloud.directory, lambda _: None)
    assert cloud.get_server("pair-a").status == "ACTIVE"  # with the token from before
    login.connect(pair[0].private_v4).close()


def test_up_again_changes_nothing(devcloud):
    told = []
    before = (devcloud.directory / "clouds.yaml").read_text()
    assert control.up(devcloud.directory, told.append) is False
    assert told == [f"devcloud is already up: {devcloud.layout.url}"]
    assert (devcloud.directory / "clouds.yaml").read_text() == before


def test_two_devclouds_live_side_by_side_and_down_leaves_nothing(devcloud, tmp_path, monkeypatch, login):
    """Also with its daemon and a machine killed beforehand."""
    monkeypatch.setenv("DEPLOYMACHINE_DEVCLOUD_DIR", str(tmp_path / "second"))
    deployment = tmp_path / "deployment"
    deployment.mkdir()
    control.up(deployment, lambda _: None)
    second = layout.load(tmp_path / "second")
    assert (second.port, second.network) != (devcloud.layout.port, devcloud.layout.network)
    try:
        wanted = {
            "image": "debian-13",
            "flavor": "m1.tiny",
            "network": "private",
            "userdata": login.user_data(),
            "timeout": 60,
        }
        let_in(connect(deployment))
        server = connect(deployment).create_server("other", wait=True, auto_ip=False, **wanted)
        login.connect(server.private_v4).close()
        process.send(control.running(tmp_path / "second"), signal.SIGKILL)
        stored = Store(tmp_path / "second/state.json").all(Server)[0]
        process.send(stored.process, signal.SIGKILL)
    finally:
        control.down(lambda _: None)
    assert leftovers(second) == []
    assert not (deployment / "clouds.yaml").exists()
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == "1\n"  # the first one still needs it


def test_down_cleans_up_where_the_state_was_deleted_under_it(tmp_path, monkeypatch, login, devcloud):
    state, deployment = tmp_path / "third", tmp_path / "deployment"
    monkeypatch.setenv("DEPLOYMACHINE_DEVCLOUD_DIR", str(state))
    deployment.mkdir()
    control.up(deployment, lambda _: None)
    third = layout.load(state)
    wanted = {"image": "debian-13", "flavor": "m1.tiny", "network": "private", "timeout": 60}
    connect(deployment).create_server("lost", wait=True, auto_ip=False, **wanted)
    (state / "layout.json").unlink()
    (state / "state.json").unlink()
    control.down(lambda _: None)
    assert leftovers(third) == []
