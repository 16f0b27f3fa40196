"""Whatever is sent, each service answers in its own words; nothing is a traceback, and nothing is made of nonsense."""

from __future__ import annotations

import pytest
import requests

VALUES = [0, -1, "x", [], {}, [1], {"a": 1}, [{"uuid": 1}], True, [[]]]
FIELDS = {
    "/compute/v2.1/servers": ("server", ["name", "flavorRef", "imageRef", "networks", "security_groups", "key_name"]),
    "/compute/v2.1/servers?": ("server", ["user_data", "metadata", "tags", "min_count", "block_device_mapping_v2"]),
    "/network/v2.0/subnets": ("subnet", ["network_id", "cidr", "gateway_ip", "allocation_pools", "dns_nameservers"]),
    "/network/v2.0/ports": ("port", ["network_id", "fixed_ips", "security_groups", "allowed_address_pairs"]),
    "/network/v2.0/routers": ("router", ["name", "external_gateway_info"]),
    "/network/v2.0/security-group-rules": ("security_group_rule", ["direction", "remote_group_id", "port_range_min"]),
    "/network/v2.0/floatingips": ("floatingip", ["floating_network_id", "port_id", "fixed_ip_address"]),
}


@pytest.fixture
def ask(service):
    with requests.Session() as http:
        http.trust_env = False
        http.headers["X-Auth-Token"] = service.cloud.token()

        def ask(method, path, body=None, version="2.90"):
            headers = {"OpenStack-API-Version": f"compute {version}"}
            return http.request(method, service.layout.url + path, json=body, headers=headers, timeout=10)

        yield ask


@pytest.fixture
def whole(ask):
    """A good body of each kind, of which one part is spoiled."""
    networks = {row["name"]: row["id"] for row in ask("GET", "/network/v2.0/networks").json()["networks"]}
    return {
        "server": {
            "name": "x",
            "flavorRef": ask("GET", "/compute/v2.1/flavors").json()["flavors"][0]["id"],
            "imageRef": ask("GET", "/image/v2/images").json()["images"][0]["id"],
            "networks": [{"uuid": networks["private"]}],
        },
        "subnet": {"network_id": networks["private"], "cidr": "10.33.0.0/24", "ip_version": 4},
        "port": {"network_id": networks["private"]},
        "router": {"name": "r"},
        "security_group_rule": {
            "security_group_id": ask("GET", "/network/v2.0/security-groups").json()["security_groups"][0]["id"],
            "direction": "ingress",
        },
        "floatingip": {"floating_network_id": networks["public"]},
    }


@pytest.mark.parametrize("path", FIELDS)
def test_a_part_of_the_wrong_kind_is_refused_or_understood(ask, whole, path):
    kind, fields = FIELDS[path]
    for field in fields:
        for value in VALUES:
            answer = ask("POST", path.rstrip("?"), {kind: {**whole[kind], field: value}})
            assert answer.status_code < 500, f"{field} {value}: {answer.text}"


@pytest.mark.parametrize("body", ["x", 1, [], [1], {}, {"auth": 1}, {"auth": {"identity": "x", "scope": "y"}}])
@pytest.mark.parametrize(
    "path",
    [
        "/identity/v3/auth/tokens",
        "/compute/v2.1/servers",
        "/image/v2/images",
        "/network/v2.0/networks",
        "/volume/v3/x/volumes",
    ],
)
def test_a_body_that_is_none_is_refused(ask, path, body):
    answer = ask("POST", path, body)
    assert answer.status_code in (400, 401, 403, 404, 201 if "image" in path else 400), answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/identity/v3/nope", 404, {"error": {"code": 404, "title": "Not Found"}}),
        ("PATCH", "/compute/v2.1/flavors", 405, {"badMethod": {"code": 405}}),
        ("PATCH", "/network/v2.0/networks", 405, {"NeutronError": {"type": "HTTPMethodNotAllowed", "detail": ""}}),
        ("GET", "/volume/nope", 404, {"itemNotFound": {"code": 404}}),
    ],
)
def test_no_such_path_or_method_is_told_by_the_service(ask, method, path, status, said):
    answer = ask(method, path)
    ((kind, expected),) = said.items()
    assert (answer.status_code, {**answer.json()[kind], **expected}) == (status, answer.json()[kind])


def test_what_fails_unexpectedly_is_told_without_its_traceback(ask, service, monkeypatch, caplog):
    monkeypatch.setattr(service.cloud.compute, "servers", lambda: 1 / 0)
    answer = ask("GET", "/compute/v2.1/servers")
    assert (answer.status_code, answer.json()["computeFault"]["code"]) == (500, 500)
    assert "ZeroDivision" not in answer.text
    assert "ZeroDivisionError" in caplog.text
