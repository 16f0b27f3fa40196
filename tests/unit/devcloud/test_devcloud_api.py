"""What the unmodified SDK gets from devcloud's services."""

from __future__ import annotations

import base64
import threading
from dataclasses import replace

import pytest
import requests
from openstack import exceptions

from deploymachine.devcloud import cloudsyaml

# What the SDK deprecates within itself; an error there would be swallowed by its waiting loops.
SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS]
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl rec@example"
WANTED = {"image": "debian-13", "flavor": "m1.tiny", "network": "private", "wait": True, "timeout": 20}


@pytest.fixture
def boot(sdk):
    return lambda name="web", **options: sdk.create_server(name, **{**WANTED, "auto_ip": False, **options})


def raw(service, method, path, body=None, **headers):
    """A request past the SDK, with a good token."""
    token = {"X-Auth-Token": service.cloud.token()}
    return requests.request(method, service.layout.url + path, json=body, headers={**token, **headers}, timeout=10)


def test_a_wrong_password_is_refused_in_keystones_words(service):
    cloudsyaml.write(service.directory, replace(service.layout, password="wrong"))
    refused = pytest.raises(exceptions.SDKException, match="you have made requires authentication")
    with service.connect() as connection, refused as caught:
        connection.authorize()
    assert "(HTTP 401)" in str(caught.value)


@pytest.mark.parametrize("path", ["/compute/v2.1/servers", "/network/v2.0/networks", "/image/v2/images"])
def test_without_a_token_nothing_is_told(service, path):
    answer = requests.get(service.layout.url + path, headers={"X-Auth-Token": "forged"}, timeout=10)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Keystone uri=")


def test_a_token_outlives_the_daemon(service, sdk):
    assert sdk.list_servers() == []
    service.restart()
    assert sdk.list_servers() == []


def test_the_catalogue_leads_to_every_service(sdk):
    kinds = {"compute", "identity", "network", "image", "block-storage", "volumev3"}
    assert {service["type"] for service in sdk.service_catalog} == kinds
    assert sdk.current_project.name == "devcloud"


def test_what_there_is_to_boot_with(sdk):
    assert [image.name for image in sdk.list_images()] == ["debian-13", "debian-12"]
    assert sdk.get_image("debian-12").os_version == "12"
    assert {flavor.name: (flavor.ram, flavor.vcpus) for flavor in sdk.list_flavors()} == {
        "m1.tiny": (512, 1),
        "m1.small": (2048, 1),
        "m1.medium": (4096, 2),
        "m1.large": (8192, 4),
    }
    assert sdk.get_flavor("nope") is None
    assert sdk.get_image("nope") is None
    networks = {network.name: network.is_router_external for network in sdk.list_networks()}
    assert networks == {"private": False, "public": True}


def test_a_server_comes_up_with_all_it_was_asked_for(service, sdk, boot):
    sdk.create_keypair("mine", ED25519)
    sdk.create_security_group("web", "")
    server = boot(key_name="mine", userdata="#cloud-config\n{}", meta={"type": "appnode"}, security_groups=["web"])
    assert (server.status, server.private_v4, server.metadata) == ("ACTIVE", "10.9.0.2", {"type": "appnode"})
    assert server.flavor.name == "m1.tiny"
    assert [group["name"] for group in server.security_groups] == ["web"]
    machine = service.machines.booted[server.id]
    assert (machine.hostname, machine.image, machine.memory_mb) == ("web", "debian-13", 512)
    assert (machine.user_data, machine.keys) == ("#cloud-config\n{}", (ED25519,))
    assert (machine.plug.address, machine.plug.gateway) == ("10.9.0.2/24", "10.9.0.1")


def ports(sdk):
    """Those that are not a router's."""
    return [port for port in sdk.list_ports() if port.device_owner != "network:router_interface"]


def test_a_floating_address_is_found_by_itself(service, sdk, boot):
    server = sdk.get_server(boot(auto_ip=True).id)
    assert (server.private_v4, server.public_v4) == ("10.9.0.2", "10.19.0.2")
    assert service.machines.floating == [("10.19.0.2", "10.9.0.2")]
    assert sdk.delete_server(server.id, wait=True, timeout=20)
    assert service.machines.floating == []
    assert [one.port_id for one in sdk.list_floating_ips()] == [None]


def test_a_deleted_server_frees_its_address_but_not_a_port_of_the_users(service, sdk, boot):
    network = sdk.get_network("private")
    port = sdk.create_port(network.id, name="mine", fixed_ips=[{"ip_address": "10.9.0.9"}])
    server = boot(network=None, nics=[{"port-id": port.id}])
    assert server.private_v4 == "10.9.0.9"
    boot("other")
    for name in ("web", "other"):
        assert sdk.delete_server(name, wait=True, timeout=20)
    assert sdk.list_servers() == []
    assert [(left.name, left.device_id) for left in ports(sdk)] == [("mine", "")]
    assert service.machines.living == set()


def test_a_server_is_in_build_until_a_host_took_it(service, sdk, monkeypatch):
    monkeypatch.setattr("deploymachine.devcloud.compute.PATIENCE", 0.0)
    service.machines.gate.clear()
    server = sdk.create_server("slow", **{**WANTED, "wait": False})
    seen = sdk.compute.get_server(server.id)
    assert (seen.status, seen.addresses, seen.vm_state) == ("BUILD", {}, "building")
    with pytest.raises(exceptions.ConflictException, match="while it is in vm_state building"):
        sdk.compute.stop_server(server.id)
    service.machines.gate.set()
    assert sdk.wait_for_server(server, auto_ip=False, timeout=20).status == "ACTIVE"


def test_a_boot_that_fails_is_a_server_in_error_with_its_fault(service, sdk):
    service.machines.broken = "no disk"
    with pytest.raises(exceptions.SDKException):
        sdk.create_server("broken", auto_ip=False, **WANTED)
    server = sdk.get_server("broken")
    assert (server.status, server.fault["message"]) == ("ERROR", f"Build of instance {server.id} aborted: no disk")


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"flavorRef": "nope"}, 400, "Flavor nope could not be found."),
        ({"imageRef": "nope"}, 400, "Can not find requested image"),
        ({"networks": [{"uuid": "nope"}]}, 400, "Network nope could not be found."),
        ({"networks": [{"port": "nope"}]}, 400, "Port id nope could not be found."),
        ({"key_name": "nope"}, 400, "Invalid key_name provided."),
        ({"security_groups": [{"name": "nope"}]}, 400, "Unable to find security_group with name or id 'nope'"),
        ({"availability_zone": "nope"}, 400, "The requested availability zone is not available"),
        ({"name": ""}, 400, "Invalid input for field/attribute name. Value: . '' should be non-empty"),
        ({"metadata": {"k": 1}}, 400, "Invalid input for field/attribute k. Value: 1. 1 is not of type 'string'"),
        ({"user_data": "not base64!"}, 400, "'not base64!' is not a 'base64'"),
    ],
)
def test_a_wrong_wish_is_refused_in_novas_words(service, sdk, change, status, words):
    image, flavor = sdk.get_image("debian-13").id, sdk.get_flavor("m1.tiny").id
    good = {"name": "x", "imageRef": image, "flavorRef": flavor}  # on the only network there is
    answer = raw(service, "POST", "/compute/v2.1/servers", {"server": {**good, **change}})
    assert answer.status_code == status
    assert words in answer.json()["badRequest"]["message"]
    assert sdk.list_servers() == []
    assert ports(sdk) == []


def test_two_networks_and_none_named_is_a_conflict(service, sdk, boot):
    other = sdk.create_network("other")
    sdk.create_subnet(other.id, cidr="10.10.0.0/24")
    assert service.machines.gateways[-1] == "10.10.0.1/32"
    with pytest.raises(exceptions.ConflictException, match="Multiple possible networks found"):
        boot(network=None)
    assert boot(network="other").private_v4 == "10.10.0.2"


def test_a_machine_that_died_shows_as_shutoff_and_starts(service, sdk, boot):
    server = boot()
    service.machines.living.clear()
    assert sdk.get_server("web").status == "SHUTOFF"
    with pytest.raises(exceptions.ConflictException, match="while it is in vm_state stopped"):
        sdk.compute.stop_server(server.id)
    sdk.compute.start_server(server.id)
    assert sdk.compute.wait_for_server(sdk.compute.get_server(server.id), interval=0.05, wait=10).status == "ACTIVE"


def test_state_survives_the_daemon_and_half_done_work_is_finished(service, sdk, boot):
    kept, dying = boot("kept"), boot("dying")
    sdk.create_keypair("mine", ED25519)
    service.cloud.compute.update(service.cloud.compute.server(dying.id), task_state="deleting")
    service.restart()
    gone = threading.Event()
    for _ in range(200):
        if sdk.compute.find_server("dying") is None:
            gone.set()
            break
        gone.wait(0.05)
    assert gone.is_set()
    assert [(server.name, server.status) for server in sdk.list_servers()] == [("kept", "ACTIVE")]
    assert service.machines.booted[kept.id].hostname == "kept"
    assert sdk.get_keypair("mine").public_key == ED25519


def test_servers_are_paged_and_found(sdk, boot):
    for name in ("a", "b", "c"):
        boot(name)
    assert [server.name for server in sdk.compute.servers(limit=2)] == ["c", "b", "a"]
    assert [server.name for server in sdk.compute.servers(name="^[ab]$", sort_key="name", sort_dir="asc")] == ["a", "b"]
    assert [server.name for server in sdk.compute.servers(status="SHUTOFF")] == []
    with pytest.raises(exceptions.BadRequestException, match=r"marker .* not found"):
        list(sdk.compute.servers(marker="nope"))
    with pytest.raises(exceptions.ForbiddenException, match="get_all_tenants"):
        list(sdk.compute.servers(all_projects=True))


def test_metadata_name_and_console(sdk, boot):
    server = boot(meta={"k": "v"})
    sdk.set_server_metadata(server.id, {"x": "y"})
    sdk.delete_server_metadata(server.id, ["k"])
    sdk.update_server(server.id, name="renamed")
    assert sdk.get_server("renamed").metadata == {"x": "y"}
    assert sdk.get_server_console(server.id) == "one\ntwo\nthree\n"
    assert sdk.get_server_console(server.id, length=1) == "three\n"


def test_keypairs(sdk):
    made = sdk.create_keypair("made")
    assert made.private_key.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    given = sdk.create_keypair("given", ED25519)
    assert given.fingerprint == "65:96:2d:fc:e8:d5:a9:11:64:0c:0f:ea:00:6e:5b:bd"  # what a real Nova says of it
    with pytest.raises(exceptions.ConflictException, match="Key pair 'given' already exists"):
        sdk.create_keypair("given", ED25519)
    with pytest.raises(exceptions.BadRequestException, match="failed to generate fingerprint"):
        sdk.create_keypair("bad", "not a key")
    assert sdk.delete_keypair("made")
    assert not sdk.delete_keypair("made")
    assert [keypair.name for keypair in sdk.list_keypairs()] == ["given"]


def test_security_groups_and_rules(sdk, boot):
    group = sdk.create_security_group("web", "for the web")
    assert {rule["direction"] for rule in group.security_group_rules} == {"egress"}
    rule = sdk.create_security_group_rule("web", 22, 22, "tcp", "0.0.0.0/0")
    assert (rule.port_range_min, rule.protocol, rule.remote_ip_prefix) == (22, "tcp", "0.0.0.0/0")
    with pytest.raises(exceptions.ConflictException, match=f"already exists. Rule id is {rule.id}"):
        sdk.create_security_group_rule("web", 22, 22, "tcp", "0.0.0.0/0")
    with pytest.raises(exceptions.BadRequestException, match="port_range_min must be <= port_range_max"):
        sdk.create_security_group_rule("web", 23, 22, "tcp")
    server = boot(security_groups=["web"])
    with pytest.raises(exceptions.ConflictException, match="in use"):
        sdk.delete_security_group("web")
    sdk.delete_server(server.id, wait=True, timeout=20)
    assert sdk.delete_security_group_rule(rule.id)
    assert sdk.delete_security_group("web")
    assert [group.name for group in sdk.list_security_groups()] == ["default"]


def test_microversions_are_negotiated(service, boot):
    boot()
    path = "/compute/v2.1/servers/detail"
    new = raw(service, "GET", path, **{"OpenStack-API-Version": "compute 2.100"})
    assert new.headers["OpenStack-API-Version"] == "compute 2.100"
    assert new.json()["servers"][0]["flavor"]["original_name"] == "m1.tiny"
    old = raw(service, "GET", path).json()["servers"][0]
    assert set(old["flavor"]) == {"id", "links"}
    assert "tags" not in old
    refused = raw(service, "GET", path, **{"X-OpenStack-Nova-API-Version": "2.999"})
    assert refused.status_code == 406
    assert "Minimum is 2.1 and maximum is" in refused.json()["computeFault"]["message"]
    assert raw(service, "GET", path, **{"X-OpenStack-Nova-API-Version": "two"}).status_code == 400


def test_user_data_may_be_any_bytes(service, sdk):
    data = base64.b64encode(b"#!/bin/sh\n\xff").decode()
    image, flavor = sdk.get_image("debian-13").id, sdk.get_flavor("m1.tiny").id
    body = {"name": "x", "imageRef": image, "flavorRef": flavor, "user_data": data}
    answer = raw(service, "POST", "/compute/v2.1/servers", {"server": body})
    assert answer.status_code == 202
    machine = service.machines.booted[answer.json()["server"]["id"]]
    assert machine.user_data.encode(errors="surrogateescape") == b"#!/bin/sh\n\xff"
