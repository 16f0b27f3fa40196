"""Where the scheduler puts servers: groups, zones, hosts, and what is told where none is left."""

from __future__ import annotations

import pytest
import requests
from openstack import exceptions

# What the SDK deprecates within itself; an error there would be swallowed by its waiting loops.
SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS]
WANTED = {"image": "debian-13", "flavor": "m1.tiny", "network": "private", "wait": True, "timeout": 20}


@pytest.fixture
def boot(sdk):
    return lambda name="web", **options: sdk.create_server(name, **{**WANTED, "auto_ip": False, **options})


def host(sdk, server):
    return sdk.compute.get_server(server.id).host_id


def test_anti_affinity_spreads_and_ends_where_hosts_do(sdk, boot):
    group = sdk.create_server_group("apart", policy="anti-affinity")
    servers = [boot(name, group="apart") for name in ("a", "b", "c")]
    assert len({host(sdk, server) for server in servers}) == 3
    with pytest.raises(exceptions.SDKException):
        boot("d", group="apart")
    failed = sdk.get_server("d")
    assert (failed.status, failed.host_id, failed.addresses) == ("ERROR", "", {})
    assert failed.fault["message"].startswith("No valid host was found. ")
    found = sdk.compute.get_server_group(group.id)
    assert (found.policy, found.rules, set(found.member_ids)) == (
        "anti-affinity",
        {},
        {*(server.id for server in servers), failed.id},
    )
    assert sdk.delete_server(failed.id, wait=True, timeout=20)
    elsewhere = boot("e", group="apart", availability_zone="nova-2")
    assert elsewhere.availability_zone == "nova-2"


def test_two_of_a_group_may_share_a_host_where_its_rules_say_so(sdk, boot):
    sdk.compute.create_server_group(name="pairs", policy="anti-affinity", rules={"max_server_per_host": 2})
    hosts = [host(sdk, boot(f"p{number}", group="pairs")) for number in range(4)]
    assert len(set(hosts)) == 3


@pytest.mark.parametrize(("policy", "hosts"), [("affinity", 1), ("soft-affinity", 1), ("soft-anti-affinity", 3)])
def test_the_other_policies(sdk, boot, policy, hosts):
    sdk.create_server_group("together", policy=policy)
    assert len({host(sdk, boot(f"s{number}", group="together")) for number in range(4)}) == hosts


def test_a_group_is_told_in_the_words_of_its_microversion(service, sdk):
    group = sdk.create_server_group("old", policy="affinity")
    url = f"{service.layout.url}/compute/v2.1/os-server-groups/{group.id}"
    token = {"X-Auth-Token": service.cloud.token()}
    old = requests.get(url, headers=token, timeout=10).json()["server_group"]
    assert old == {"id": group.id, "name": "old", "policies": ["affinity"], "members": [], "metadata": {}}
    assert sdk.delete_server_group("old")
    assert requests.get(url, headers=token, timeout=10).json()["itemNotFound"]["message"].startswith("Instance group")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"name": "x", "policy": "nope"}, "'nope' is not one of"),
        ({"policy": "affinity"}, "'name' is a required property"),
        ({"name": "x", "policy": "affinity", "rules": {"max_server_per_host": 2}}, "Only anti-affinity policy"),
    ],
)
def test_a_wrong_group_is_refused(service, asked, words):
    headers = {"X-Auth-Token": service.cloud.token(), "X-OpenStack-Nova-API-Version": "2.64"}
    url = f"{service.layout.url}/compute/v2.1/os-server-groups"
    answer = requests.post(url, json={"server_group": asked}, headers=headers, timeout=10)
    assert answer.status_code == 400
    assert words in answer.json()["badRequest"]["message"]


def test_an_unknown_group_boots_nothing(service, sdk):
    body = {"name": "x", "imageRef": sdk.get_image("debian-13").id, "flavorRef": sdk.get_flavor("m1.tiny").id}
    whole = {"server": {**body, "networks": "auto"}, "os:scheduler_hints": {"group": "nope"}}
    headers = {"X-Auth-Token": service.cloud.token(), "X-OpenStack-Nova-API-Version": "2.37"}
    answer = requests.post(f"{service.layout.url}/compute/v2.1/servers", json=whole, headers=headers, timeout=10)
    assert (answer.status_code, sdk.list_servers()) == (400, [])


def test_zones_are_offered_and_kept(sdk, boot):
    assert [zone.name for zone in sdk.compute.availability_zones()] == ["nova", "nova-2", "nova-3"]
    assert sdk.list_availability_zone_names() == ["nova", "nova-2", "nova-3"]
    assert (boot("a").availability_zone, boot("b", availability_zone="nova-3").availability_zone) == ("nova", "nova-3")
