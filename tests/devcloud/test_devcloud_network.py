"""Real machines: who reaches whom is what security groups, routers and floating addresses say, and at once."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from machine_world import Login, sh, until

from deploymachine.devcloud import control

# What the SDK deprecates within itself; an error there would be swallowed by its waiting loops.
SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.devcloud, *(pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS)]

WEB = 8080
ECHO = """
from socketserver import StreamRequestHandler, ThreadingTCPServer


class Echo(StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)


ThreadingTCPServer(("", 8080), Echo).serve_forever()
"""


@pytest.fixture(scope="module")
def login():
    return Login()


@pytest.fixture(scope="module")
def cloud(devcloud):
    with devcloud.connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def net(cloud):
    return cloud.network


class World:
    """Two machines that answer on port 8080, in a group of their own each that lets SSH in; and how to reach them."""

    def __init__(self, cloud, login):
        self.cloud, self.net, self.login = cloud, cloud.network, login
        self.groups = {}
        self.servers = {}
        self.ssh = {}

    def boot(self, name, **options):
        group = self.groups[name] = self.net.create_security_group(name=name)
        self.open(name, 22)
        wanted = {"image": "debian-13", "flavor": "m1.tiny", "network": "private", "userdata": self.login.user_data()}
        server = self.cloud.create_server(
            name, wait=True, auto_ip=False, timeout=60, security_groups=[group.name], **{**wanted, **options}
        )
        self.servers[name] = server
        return server

    def answer(self, name):
        self.ssh[name] = self.login.connect(self.address(name))
        sh(self.ssh[name], f"systemd-run --quiet python3 -c {shlex.quote(ECHO)}")
        until(lambda: sh(self.ssh[name], f"ss -Hltn sport = :{WEB}"))

    def address(self, name):
        return self.port(name).fixed_ips[0]["ip_address"]

    def port(self, name):
        return next(iter(self.net.ports(device_id=self.servers[name].id)))

    def open(self, name, port, **who):
        wanted = {"protocol": "tcp", "port_range_min": port, "port_range_max": port, "direction": "ingress"}
        return self.net.create_security_group_rule(security_group_id=self.groups[name].id, **wanted, **who)

    @contextmanager
    def opened(self, name, port, **who):
        rule = self.open(name, port, **who)
        try:
            yield rule
        finally:
            self.net.delete_security_group_rule(rule.id, ignore_missing=True)

    def reaches(self, name, address, port=WEB):
        """From that machine."""
        _, stdout, _ = self.ssh[name].exec_command(f"timeout 1 bash -c 'exec 3<>/dev/tcp/{address}/{port}'")
        return stdout.channel.recv_exit_status() == 0

    def end(self):
        for ssh in self.ssh.values():
            ssh.close()
        for server in self.servers.values():
            self.cloud.delete_server(server.id, wait=True)
        for group in self.groups.values():
            self.net.delete_security_group(group.id)


def host_reaches(address: str, port: int = WEB) -> bool:
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def world(cloud, login) -> Iterator[World]:
    world = World(cloud, login)
    try:
        for name in ("left", "right"):
            world.boot(name)
        for name in ("left", "right"):
            world.answer(name)
        yield world
    finally:
        world.end()


def test_a_port_is_closed_until_a_rule_opens_it_and_after_it_is_deleted(world):
    left = world.address("left")
    assert not host_reaches(left)
    assert not world.reaches("right", left)
    with world.opened("left", WEB):
        assert host_reaches(left)
        assert world.reaches("right", left)
        assert not world.reaches("left", world.address("right"))  # whose group says nothing of it
    assert not host_reaches(left)
    assert not world.reaches("right", left)


def test_a_deleted_rule_ends_the_connections_that_it_let_in(world):
    with world.opened("left", WEB) as rule, socket.create_connection((world.address("left"), WEB), 2) as line:
        line.settimeout(1)
        line.sendall(b"one\n")
        assert line.recv(10) == b"one\n"
        world.net.delete_security_group_rule(rule.id)
        line.sendall(b"two\n")
        with pytest.raises(TimeoutError):
            line.recv(10)


def test_a_rule_for_a_prefix_lets_in_just_that(world):
    left, right = world.address("left"), world.address("right")
    with world.opened("left", WEB, remote_ip_prefix=f"{right}/32"):
        assert world.reaches("right", left)
        assert not host_reaches(left)


def test_a_rule_for_a_group_follows_its_members(world):
    left, right, peers = world.address("left"), world.servers["right"], world.net.create_security_group(name="peers")
    try:
        with world.opened("left", WEB, remote_group_id=peers.id):
            assert not world.reaches("right", left)
            world.cloud.compute.add_security_group_to_server(right, peers)
            assert world.reaches("right", left)
            assert not host_reaches(left)
            world.cloud.compute.remove_security_group_from_server(right, peers)
            assert not world.reaches("right", left)
    finally:
        world.net.delete_security_group(peers.id)


def test_ping_has_a_rule_of_its_own(world):
    ping = f"ping -c1 -W1 {world.address('left')}"

    def answers() -> bool:
        return world.ssh["right"].exec_command(ping)[1].channel.recv_exit_status() == 0

    assert not answers()
    rule = world.net.create_security_group_rule(
        security_group_id=world.groups["left"].id, protocol="icmp", direction="ingress"
    )
    assert answers()
    world.net.delete_security_group_rule(rule.id)
    assert not answers()


def test_what_egress_rules_do_not_allow_stays_in(world):
    group = world.groups["right"].id
    out = [rule for rule in world.net.security_group_rules(security_group_id=group) if rule.direction == "egress"]
    with world.opened("left", WEB):
        for rule in out:
            world.net.delete_security_group_rule(rule.id)
        assert not world.reaches("right", world.address("left"))  # though its answers over SSH still come through
        world.net.create_security_group_rule(security_group_id=group, direction="egress", ether_type="IPv4")
        assert world.reaches("right", world.address("left"))


def test_a_port_without_groups_lets_nothing_in_and_one_without_security_everything(world):
    port = world.port("left")
    world.net.update_port(port, security_groups=[])
    assert not host_reaches(world.address("left"), 22)
    world.net.update_port(port, port_security_enabled=False)
    assert host_reaches(world.address("left"))
    world.net.update_port(port, port_security_enabled=True, security_groups=[world.groups["left"].id])
    assert not host_reaches(world.address("left"))
    assert host_reaches(world.address("left"), 22)


def test_a_machine_cannot_use_an_address_that_is_not_its_own_unless_it_is_allowed(world):
    left, port, network = world.address("left"), world.port("right"), world.address("left").rpartition(".")[0]
    extra = f"{network}.200"
    sh(world.ssh["right"], f"ip address add {extra}/32 dev eth0")
    said = f'timeout 1 python3 -c \'import socket; socket.create_connection(("{left}", {WEB}), 1, ("{extra}", 0))\''

    def says() -> bool:
        return world.ssh["right"].exec_command(said)[1].channel.recv_exit_status() == 0

    with world.opened("left", WEB), world.opened("right", WEB):
        assert not says()
        assert not host_reaches(extra)
        world.net.update_port(port, allowed_address_pairs=[{"ip_address": extra}])
        assert says()
        assert host_reaches(extra)
        assert world.reaches("left", extra)
        world.net.update_port(port, allowed_address_pairs=[])
        assert not says()
        assert not host_reaches(extra)


def test_a_machine_does_not_reach_what_listens_on_the_hosts_loopback(world, devcloud):
    """Its link routes there, for DNS; root in a machine can say where packets for 127.0.0.1 go."""
    gateway = world.address("right").rpartition(".")[0] + ".1"
    for line in ("sysctl -qw net.ipv4.conf.all.route_localnet=1", f"ip route add 127.9.9.9 via {gateway}"):
        sh(world.ssh["right"], line)
    sh(world.ssh["right"], "ip route delete local 127.0.0.0/8 dev lo table local")
    with socket.create_server(("127.9.9.9", 0)) as listener:
        assert host_reaches("127.9.9.9", listener.getsockname()[1])
        assert not world.reaches("right", "127.9.9.9", listener.getsockname()[1])
    sh(world.ssh["right"], "ip route add local 127.0.0.0/8 dev lo table local && ip route delete 127.9.9.9")


ANNOUNCE = """
import socket

own = socket.inet_aton("{address}")
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as line:
    line.bind(("eth0", 0x0806))
    mac = line.getsockname()[4]
    head = bytes.fromhex("ffffffffffff") + mac + bytes.fromhex("0806")
    line.send(head + bytes.fromhex("0001080006040001") + mac + own + bytes(6) + own)
"""


def test_an_address_that_two_may_hold_is_where_it_was_announced_last(world):
    """As keepalived moves it."""
    shared = world.address("left").rpartition(".")[0] + ".201"
    for name in ("left", "right"):
        world.net.update_port(world.port(name), allowed_address_pairs=[{"ip_address": shared}])
        sh(world.ssh[name], f"ip address add {shared}/32 dev eth0")

    def holder() -> str:
        with socket.create_connection((shared, 22), 2) as line:
            line.recv(10)
        with world.login.connect(shared) as ssh:
            return sh(ssh, "hostname").strip()

    try:
        for name in ("right", "left", "right"):
            sh(world.ssh[name], f"python3 -c {shlex.quote(ANNOUNCE.format(address=shared))}")
            assert until(lambda name=name: holder() == name)
    finally:
        for name in ("left", "right"):
            sh(world.ssh[name], f"ip address del {shared}/32 dev eth0")
            world.net.update_port(world.port(name), allowed_address_pairs=[])


def test_a_floating_address_leads_somewhere_just_as_long_as_it_is_told_to(world, cloud):
    public = world.net.find_network("public")
    address = world.net.create_ip(floating_network_id=public.id)
    with world.opened("left", WEB), world.opened("right", WEB):
        assert not host_reaches(address.floating_ip_address)
        world.net.update_ip(address, port_id=world.port("left").id)
        with socket.create_connection((address.floating_ip_address, WEB), 2) as line:
            line.settimeout(1)
            line.sendall(b"hello\n")
            assert line.recv(10) == b"hello\n"
            assert world.reaches("right", address.floating_ip_address)
            assert world.reaches("left", address.floating_ip_address)  # itself, too
            world.net.update_ip(address, port_id=world.port("right").id)
            line.sendall(b"hello\n")
            with pytest.raises(TimeoutError):
                line.recv(10)
        assert host_reaches(address.floating_ip_address)
        world.net.update_ip(address, port_id=None)
        assert not host_reaches(address.floating_ip_address)
    world.net.delete_ip(address)


def test_through_a_floating_address_a_machine_is_no_member_of_its_group(world):
    """As across a router: what is seen is the floating side."""
    public = world.net.find_network("public")
    address = world.net.create_ip(floating_network_id=public.id, port_id=world.port("left").id)
    with world.opened("left", WEB, remote_group_id=world.groups["right"].id):
        assert world.reaches("right", world.address("left"))
        assert not world.reaches("right", address.floating_ip_address)
    world.net.delete_ip(address)


def test_a_killed_api_comes_back_with_the_same_rules(world, devcloud):
    def rules() -> str:
        argv = ["nft", "-s", "list", "table", "inet", devcloud.layout.table]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    with world.opened("left", WEB):
        before, left, right = rules(), world.address("left"), world.address("right")
        os.kill(control.running(devcloud.state).pid, signal.SIGKILL)
        assert until(lambda: control.running(devcloud.state) is None)
        assert host_reaches(left)
        assert not world.reaches("left", right)
        assert control.up(devcloud.directory, lambda _: None)
        assert rules() == before


def test_two_networks_are_joined_by_a_router_and_by_nothing_else(world, cloud):
    second = world.net.create_network(name="second")
    subnet = world.net.create_subnet(network_id=second.id, ip_version=4, cidr="172.31.77.0/24")
    port = world.net.create_port(network_id=second.id, fixed_ips=[{"ip_address": "172.31.77.7"}])
    far = world.boot("far", network=None, nics=[{"port-id": port.id}])
    world.net.update_port(port, security_groups=[world.groups["far"].id])
    try:
        address = world.address("far")
        assert address == "172.31.77.7"
        assert not until(lambda: host_reaches(address, 22), 3)
        assert not world.reaches("left", address, 22)
        router = world.net.find_router("router")
        world.net.add_interface_to_router(router, subnet_id=subnet.id)
        world.answer("far")
        assert world.reaches("left", address, 22)
        with world.opened("left", WEB):
            assert world.reaches("far", world.address("left"))
        assert "Err:" not in sh(world.ssh["far"], "apt-get update 2>&1")  # and the world outside
        world.ssh.pop("far").close()
        world.net.remove_interface_from_router(router, subnet_id=subnet.id)
        assert not world.reaches("left", address, 22)
        assert not host_reaches(address, 22)
        _a_second_link(world, second)
        assert not world.reaches("left", address, 22)
    finally:
        cloud.delete_server(far.id, wait=True)
        del world.servers["far"]
        world.net.delete_port(port)
        world.net.delete_network(second)


def _a_second_link(world, second):
    """A running machine gets one to the other network, and loses it again."""
    left = world.servers["left"]
    attached = world.cloud.compute.create_server_interface(left, net_id=second.id)
    own = attached.fixed_ips[0]["ip_address"]
    assert own in sh(world.ssh["left"], "ip -4 -brief address show dev eth1")
    assert world.reaches("left", "172.31.77.7", 22)
    assert not world.reaches("right", "172.31.77.7", 22)
    world.cloud.compute.delete_server_interface(attached.port_id, server=left)
    assert "eth1" not in sh(world.ssh["left"], "ip -brief link")


def test_a_server_on_two_networks_has_both_links_again_after_a_restart(world, cloud):
    third = world.net.create_network(name="third")
    world.net.create_subnet(network_id=third.id, ip_version=4, cidr="172.31.78.0/24")
    private = world.net.find_network("private")
    both = world.boot("both", network=None, nics=[{"net-id": private.id}, {"net-id": third.id}])
    try:
        own = next(iter(world.net.ports(device_id=both.id, network_id=private.id))).fixed_ips[0]["ip_address"]
        _has_both_links(world, own)
        cloud.compute.stop_server(both)
        assert until(lambda: cloud.get_server(both.id).status == "SHUTOFF")
        cloud.compute.start_server(both)
        _has_both_links(world, own)
    finally:
        cloud.delete_server(both.id, wait=True)
        del world.servers["both"]
        world.net.delete_network(third)


def _has_both_links(world, own):
    with world.login.connect(own) as ssh:
        assert f"{own}/24" in sh(ssh, "ip -4 -brief address show dev eth0")
        assert "172.31.78.2/24" in sh(ssh, "ip -4 -brief address show dev eth1")
        assert "dev eth0" in sh(ssh, "ip route show default")
