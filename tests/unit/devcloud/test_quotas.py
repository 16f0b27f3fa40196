"""Quotas of every service over real HTTP: told, set, and enforced in each service's own words."""

from __future__ import annotations

import pytest
import requests
from openstack import exceptions

SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS]
WANTED = {"image": "debian-13", "flavor": "m1.tiny", "network": "private", "auto_ip": False, "timeout": 20}


@pytest.fixture
def project(sdk):
    return sdk.current_project_id


def create(sdk, **more):
    """A raw POST /servers: its status and message."""
    image, flavor = sdk.get_image("debian-13").id, sdk.get_flavor("m1.tiny").id
    network = [{"uuid": sdk.network.find_network("private").id}]
    body = {"name": "x", "imageRef": image, "flavorRef": flavor, "networks": network, **more}
    answer = sdk.compute.post("/servers", json={"server": body})
    return answer.status_code, next(iter(answer.json().values())).get("message")


def test_instances_over_the_quota_are_refused_as_nova_does(sdk, project):
    sdk.compute.update_quota_set(project, instances=4)
    for number in range(2):
        sdk.create_server(f"web{number}", wait=True, **WANTED)
    words = "Quota exceeded for instances: Requested 3, but already used 2 of 4 instances"
    assert create(sdk, min_count=3, max_count=3) == (403, words)
    assert len(sdk.list_servers()) == 2
    assert create(sdk, min_count=2, max_count=2)[0] == 202


def test_cores_and_ram_count_too_and_are_told_together(sdk, project):
    sdk.compute.update_quota_set(project, cores=1, ram=1000)
    assert create(sdk)[0] == 202
    words = "Quota exceeded for cores, ram: Requested 1, 512, but already used 1, 512 of 1, 1000 cores, ram"
    assert create(sdk) == (403, words)


def test_ports_over_the_quota_stop_a_server_before_there_is_any(sdk, project):
    used = len(sdk.list_ports())
    sdk.network.update_quota(project, ports=used)
    assert create(sdk) == (403, "Maximum number of ports exceeded")
    assert sdk.list_servers() == []
    with pytest.raises(exceptions.ConflictException, match=r"Quota exceeded for resources: \['port'\]\."):
        sdk.network.create_port(network_id=sdk.network.find_network("private").id)


@pytest.mark.parametrize(
    ("quota", "make"),
    [
        ("floatingip", lambda net: net.create_ip(floating_network_id=net.find_network("public").id)),
        ("network", lambda net: net.create_network(name="x")),
        ("router", lambda net: net.create_router(name="x")),
        ("security_group", lambda net: net.create_security_group(name="x")),
        (
            "subnet",
            lambda net: net.create_subnet(network_id=net.find_network("private").id, ip_version=4, cidr="10.88.0.0/24"),
        ),
        (
            "security_group_rule",
            lambda net: net.create_security_group_rule(
                security_group_id=net.find_security_group("default").id, direction="ingress", protocol="tcp"
            ),
        ),
    ],
)
def test_neutrons_things_over_the_quota_are_conflicts(service, sdk, quota, make):
    used = service.cloud.networking.quotas.used("network")[quota]
    service.cloud.networking.quotas.change("network", {quota: used})
    with pytest.raises(exceptions.ConflictException, match=rf"Quota exceeded for resources: \['{quota}'\]\."):
        make(sdk.network)
    service.cloud.networking.quotas.reset("network")
    assert make(sdk.network).id


def test_keypairs_and_metadata(sdk, project):
    sdk.compute.update_quota_set(project, key_pairs=1, metadata_items=1)
    sdk.create_keypair("one")
    with pytest.raises(exceptions.ForbiddenException, match="Quota exceeded, too many key pairs"):
        sdk.create_keypair("two")
    status, words = create(sdk, metadata={"a": "1", "b": "2"})
    assert (status, words) == (403, "Maximum number of metadata items exceeds 1")


def test_quotas_are_told_with_what_is_used_and_survive_a_restart(service, sdk, project):
    sdk.create_server("web", wait=True, **WANTED)
    sdk.compute.update_quota_set(project, instances=9)
    sdk.network.update_quota(project, floating_ips=8)
    service.restart()
    assert sdk.compute.get_quota_set(project).instances == 9
    detail = sdk.compute.get("/os-quota-sets/" + project + "/detail").json()["quota_set"]["instances"]
    assert detail == {"limit": 9, "in_use": 1, "reserved": 0}
    assert sdk.network.get_quota(project).floating_ips == 8
    assert sdk.network.get_quota(project, details=True).ports["used"] == 2  # the server's and the router's
    assert sdk.network.get_quota_default(project).floating_ips == 50
    assert sdk.compute.get_limits().absolute.instances == 9
    sdk.compute.revert_quota_set(project)
    sdk.network.delete_quota(project)
    assert (sdk.compute.get_quota_set(project).instances, sdk.network.get_quota(project).floating_ips) == (60, 50)


def test_a_quota_below_what_is_used_wants_force(sdk, project):
    sdk.create_server("web", wait=True, **WANTED)
    with pytest.raises(exceptions.BadRequestException, match="must be greater than or equal to already used"):
        sdk.compute.update_quota_set(project, instances=0)
    assert sdk.compute.get_quota_set(project).instances == 60
    sdk.compute.update_quota_set(project, instances=0, force=True)
    assert create(sdk)[0] == 403


@pytest.mark.parametrize("body", [{"instances": "many"}, {"instances": -2}, {"colour": 3}])
def test_nonsense_is_refused_and_changes_nothing(service, sdk, project, body):
    url = f"{service.layout.url}/compute/v2.1/os-quota-sets/{project}"
    headers = {"X-Auth-Token": sdk.auth_token}
    assert requests.put(url, json={"quota_set": body}, headers=headers, timeout=5).status_code == 400
    assert sdk.compute.get_quota_set(project).instances == 60
    url = f"{service.layout.url}/network/v2.0/quotas/{project}"
    port = {name.replace("instances", "port"): value for name, value in body.items()}
    assert requests.put(url, json={"quota": port}, headers=headers, timeout=5).status_code == 400
