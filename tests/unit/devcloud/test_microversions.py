"""Clouds of any age: what devcloud offers, refuses and tells by the compute microversion that is asked for."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import requests
from openstack import exceptions

from deploymachine.devcloud import layout
from deploymachine.errors import DevcloudError

# What the SDK deprecates within itself; an error there would be swallowed by its waiting loops.
SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS]
SERVERS = "/compute/v2.1/servers"


def ask(service, method, path, version, body=None):
    headers = {"X-Auth-Token": service.cloud.token(), "OpenStack-API-Version": f"compute {version}"}
    return requests.request(method, service.layout.url + path, json=body, headers=headers, timeout=10)


@pytest.fixture
def of_age(service):
    """The devcloud with an older newest microversion, as the SDK sees it."""

    def aged(newest):
        service.layout = replace(service.layout, microversion=newest)
        service.restart()
        return service.connect()

    return aged


@pytest.fixture
def wish(service, sdk):
    image, flavor = sdk.get_image("debian-13").id, sdk.get_flavor("m1.tiny").id
    networks = [{"uuid": sdk.get_network("private").id}]
    return {"name": "x", "imageRef": image, "flavorRef": flavor, "networks": networks}


@pytest.mark.parametrize("newest", ["2.1", "2.38", "2.79", "2.90", "2.104"])
def test_the_sdk_manages_with_what_a_cloud_of_that_age_offers(of_age, service, newest):
    with of_age(newest) as sdk:
        sdk.create_keypair("mine", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl")
        wanted = {"image": "debian-13", "flavor": "m1.small", "network": "private", "key_name": "mine"}
        made = sdk.create_server("web", wait=True, auto_ip=True, timeout=20, meta={"a": "b"}, **wanted)
        server = sdk.get_server(made.id)
        assert (server.status, server.private_v4, server.public_v4) == ("ACTIVE", "10.9.0.2", "10.19.0.2")
        told = ask(service, "GET", f"{SERVERS}/{server.id}", newest).json()["server"]["flavor"]
        assert ("original_name" in told) == (newest not in ("2.1", "2.38"))
        assert sdk.get_flavor(told.get("id") or told["original_name"]).name == "m1.small"
        assert sdk.delete_server("web", wait=True, timeout=20)
        assert sdk.delete_keypair("mine")


def test_what_is_too_new_is_refused_with_the_bounds(of_age, service):
    of_age("2.79").close()
    refused = ask(service, "GET", SERVERS, "2.80")
    words = "Version 2.80 is not supported by the API. Minimum is 2.1 and maximum is 2.79."
    assert (refused.status_code, refused.json()) == (406, {"computeFault": {"code": 406, "message": words}})
    assert refused.headers["OpenStack-API-Version"] == "compute 2.80"
    latest = ask(service, "GET", SERVERS, "latest")
    assert (latest.status_code, latest.headers["OpenStack-API-Version"]) == (200, "compute 2.79")
    offered = requests.get(f"{service.layout.url}/compute/v2.1", timeout=10).json()["version"]
    assert (offered["min_version"], offered["version"]) == ("2.1", "2.79")


@pytest.mark.parametrize(
    ("name", "value", "newer", "older"),
    [
        ("description", "d", "2.19", "2.18"),
        ("networks", "auto", "2.37", "2.36"),
        ("tags", ["t"], "2.52", "2.51"),
        ("hostname", "h", "2.90", "2.89"),
        ("personality", [], "2.56", "2.57"),
    ],
)
def test_a_server_is_asked_for_in_the_words_of_its_microversion(service, wish, name, value, newer, older):
    refused = ask(service, "POST", SERVERS, older, {"server": {**wish, name: value}})
    assert (refused.status_code, list(refused.json())) == (400, ["badRequest"])
    assert ask(service, "POST", SERVERS, newer, {"server": {**wish, name: value}}).status_code == 202


def test_networks_have_to_be_named_since_2_37(service, wish):
    del wish["networks"]
    refused = ask(service, "POST", SERVERS, "2.37", {"server": wish})
    assert (refused.status_code, "'networks' is a required" in refused.json()["badRequest"]["message"]) == (400, True)
    assert ask(service, "POST", SERVERS, "2.36", {"server": wish}).status_code == 202


def test_a_hostname_stays_when_a_server_is_renamed(service, sdk, wish):
    made = ask(service, "POST", SERVERS, "2.90", {"server": {**wish, "hostname": "given"}}).json()["server"]["id"]
    sdk.compute.wait_for_server(sdk.compute.get_server(made), interval=0.02, wait=10)
    assert service.machines.booted[made].hostname == "given"
    sdk.update_server(made, name="renamed")
    assert (sdk.compute.get_server(made).name, sdk.compute.get_server(made).hostname) == ("renamed", "given")


@pytest.mark.parametrize(
    ("version", "quotas", "limits"),
    [
        ("2.1", {"floating_ips", "injected_files"}, {"maxTotalFloatingIps", "maxImageMeta", "maxPersonality"}),
        ("2.36", {"injected_files"}, {"maxImageMeta", "maxPersonality"}),
        ("2.50", {"injected_files", "server_groups"}, {"maxPersonality"}),
        ("2.57", {"server_groups"}, set()),
    ],
)
def test_quotas_and_limits_of_their_time(service, sdk, version, quotas, limits):
    project = sdk.current_project_id
    shown = ask(service, "GET", f"/compute/v2.1/os-quota-sets/{project}", version).json()["quota_set"]
    assert {"floating_ips", "injected_files", "server_groups"} & shown.keys() == quotas
    told = ask(service, "GET", "/compute/v2.1/limits", version).json()["limits"]["absolute"]
    assert {"maxTotalFloatingIps", "maxImageMeta", "maxPersonality"} & told.keys() == limits


def test_novas_floating_addresses_ended_with_2_35(service):
    path = "/compute/v2.1/os-floating-ips"
    made = ask(service, "POST", path, "2.35", {"pool": "public"}).json()["floating_ip"]
    assert ask(service, "GET", f"{path}/{made['id']}", "2.1").json()["floating_ip"] == made
    assert ask(service, "GET", path, "2.36").status_code == 404
    assert ask(service, "POST", path, "2.1", {"pool": "nope"}).status_code == 404
    assert ask(service, "DELETE", f"{path}/{made['id']}", "2.1").status_code == 202
    assert ask(service, "GET", f"{path}/{made['id']}", "2.1").status_code == 404


def test_an_address_is_left_behind_where_no_router_leads_out(service, sdk):
    """What the SDK does of itself, and a tool has to clean up."""
    for router in list(sdk.list_routers()):
        for port in list(sdk.list_router_interfaces(router)):
            sdk.remove_router_interface(router, port_id=port.id)
    wanted = {"image": "debian-13", "flavor": "m1.tiny", "network": "private"}
    with pytest.raises(exceptions.ResourceTimeout):
        sdk.create_server("web", wait=True, auto_ip=True, timeout=0.5, **wanted)
    assert [one.port_id for one in sdk.list_floating_ips()] == [None]


def test_the_newest_microversion_is_chosen_by_the_environment(monkeypatch):
    monkeypatch.delenv("DEPLOYMACHINE_DEVCLOUD_MICROVERSION", raising=False)
    assert layout.chosen_microversion() == layout.NEWEST
    monkeypatch.setitem(os.environ, "DEPLOYMACHINE_DEVCLOUD_MICROVERSION", "2.79")
    assert layout.chosen_microversion() == "2.79"
    monkeypatch.setitem(os.environ, "DEPLOYMACHINE_DEVCLOUD_MICROVERSION", "new")
    with pytest.raises(DevcloudError, match="no such compute microversion"):
        layout.chosen_microversion()
