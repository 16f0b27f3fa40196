"""Servers of a real Nova changed as they run: resized, rebuilt, copied, on two networks, behind its security groups."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from machine_world import until

from deploymachine.cloud import Cloud
from deploymachine.errors import CloudError
from deploymachine.hostkeys import HostKeys
from deploymachine.inventory import Server

pytestmark = [pytest.mark.openstack, pytest.mark.filterwarnings("ignore:::openstack")]

LISTEN = "systemd-run --unit=listener python3 -m http.server {port}"


@pytest.fixture(scope="module")
def server(cloud: Cloud) -> Server:
    return cloud.boot(["appnode1"])[0]


def accepts(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def test_only_what_the_groups_let_in_gets_in(cloud, server, ssh, sdk):
    ssh(server, LISTEN.format(port=8000))
    ssh(server, "timeout 20 sh -c 'until curl -s -o /dev/null localhost:8000; do sleep 0.1; done'")
    assert accepts(server.address, 22)
    assert not accepts(server.address, 8000)
    network = sdk("demo").network
    group = next(network.security_groups(name="deploymachine-realtest-appnode"))
    rule = {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 8000}
    added = network.create_security_group_rule(security_group_id=group.id, port_range_max=8000, **rule)
    assert until(lambda: accepts(server.address, 8000))
    network.delete_security_group_rule(added)
    assert until(lambda: not accepts(server.address, 8000))


def test_a_resized_server_keeps_its_disk_and_addresses(cloud, server, ssh):
    ssh(server, "echo kept >/root/note && sync")
    resized = cloud.resize("appnode1", "m1.medium")
    assert (resized.flavor, resized.memory_mb, resized.address) == ("m1.medium", 2048, server.address)
    assert ssh(server, "cat /root/note").strip() == "kept"


def test_a_flavor_that_fits_nowhere_is_told_and_the_server_runs_on(cloud, server, ssh):
    with pytest.raises(CloudError) as caught:
        cloud.resize("appnode1", "m1.huge")
    assert "mostly no host has room for it" in str(caught.value)  # Nova tells a project nothing but "Error"
    assert cloud.servers().named("appnode1").state == "ACTIVE"
    assert ssh(server, "hostname").strip() == "appnode1"


def test_a_snapshot_is_an_image_to_boot_from(cloud, server, ssh, sdk):
    demo = sdk("demo")
    ssh(server, "echo copied >/root/note && sync")
    image = demo.compute.create_server_image(server.id, "a-copy", wait=True, timeout=60)
    try:
        copy = cloud.boot([_spec(cloud, "appnode2", "a-copy")])[0]
        assert ssh(copy, "hostname; cat /root/note").split() == ["appnode2", "copied"]
        cloud.delete(["appnode2"])
    finally:
        demo.image.delete_image(image.id)


def _spec(cloud: Cloud, name: str, image: str) -> object:
    from deploymachine.cloud import boot_spec

    return boot_spec(cloud.settings, name, image=image)


def test_a_rebuilt_server_is_new_but_for_name_and_addresses(cloud, server, ssh, settings):
    ssh(server, "echo lost >/root/note")
    before = HostKeys(settings).get(server.address, 22)
    rebuilt = cloud.rebuild("appnode1")
    assert (rebuilt.id, rebuilt.address) == (server.id, server.address)
    assert HostKeys(settings).get(server.address, 22) != before
    assert ssh(rebuilt, "hostname; ls /root").split() == ["appnode1"]


def test_a_server_on_two_networks_has_a_link_to_each(cloud, second_network, changed: Callable[..., Cloud], ssh):
    both = changed(OPENSTACK_NETWORK=["private", second_network])
    made = both.boot(["dbserver1"])[0]
    assert made.private_ip in ssh(made, "hostname -I").split()
    assert "172.31.255." in ssh(made, "ip -br address show dev eth1")
    both.delete(["dbserver1"])


def test_nothing_is_left(cloud, server, owned, hypervisor):
    cloud.delete(["appnode1"])
    assert owned() == []
    assert cloud.leaks() == []
    assert hypervisor.guests() == []
