"""The unmodified SDK asks devcloud what it asked a real control plane, in the same order."""

from __future__ import annotations

import time
from contextlib import closing
from importlib.metadata import version
from urllib.parse import parse_qsl

import pytest
import recorded_choice
from replay import ID, PATHS, TRANSCRIPTS, Names, load
from replay_world import KEY, World

# What the SDK deprecates within itself; an error there would be swallowed by its waiting loops.
SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [
    *(pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS),
    pytest.mark.skipif(not version("openstacksdk").startswith("4."), reason="recorded with version 4"),
]
TINY = {"image": "tiny-raw", "flavor": "m1.tiny", "network": "private", "key_name": "rec-key", "wait": True}
DATA = {"userdata": "#cloud-config\n{}", "meta": {"deploy": "rec", "role": "web"}, "security_groups": ["rec-sg"]}
RULE = {"port_range_min": 22, "port_range_max": 22, "protocol": "tcp", "remote_ip_prefix": "0.0.0.0/0"}
CALLS = {  # by scenario, in its order; what comes between them in the recording is left out
    "02-flavors": {
        "compute.find_flavor('m1.tiny')": lambda sdk: sdk.compute.find_flavor("m1.tiny"),
        "compute.find_flavor('nope')": lambda sdk: sdk.compute.find_flavor("nope"),
        "compute.flavors()": lambda sdk: list(sdk.compute.flavors()),
        "compute.flavors(limit=2)": lambda sdk: list(sdk.compute.flavors(limit=2)),
        "connection.get_flavor('m1.tiny')": lambda sdk: sdk.get_flavor("m1.tiny"),
    },
    "03-images": {
        "image.find_image('tiny-raw')": lambda sdk: sdk.image.find_image("tiny-raw"),
        "image.find_image('nope')": lambda sdk: sdk.image.find_image("nope"),
        "connection.get_image('tiny-raw')": lambda sdk: sdk.get_image("tiny-raw"),
    },
    "04-keypairs": {
        "connection.create_keypair(name, public_key)": lambda sdk: sdk.create_keypair("rec-key", KEY),
        "compute.find_keypair('nope')": lambda sdk: sdk.compute.find_keypair("nope"),
        "connection.get_keypair('rec-key')": lambda sdk: sdk.get_keypair("rec-key"),
    },
    "05-security-groups": {
        "connection.create_security_group('rec-sg', ...)": lambda sdk: sdk.create_security_group("rec-sg", "recorded"),
        "create_security_group_rule tcp/22": lambda sdk: sdk.create_security_group_rule("rec-sg", **RULE),
        "network.find_security_group('nope')": lambda sdk: sdk.network.find_security_group("nope"),
    },
    "07-create-server": {
        "create_server(wait=True, auto_ip=False)": lambda sdk: sdk.create_server(
            "rec-a", auto_ip=False, timeout=20, **TINY, **DATA
        ),
    },
    "08-create-server-auto-ip": {
        "create_server(wait=True, auto_ip=True)": lambda sdk: sdk.create_server(
            "rec-b", auto_ip=True, timeout=20, **TINY
        ),
    },
    "18-delete-server": {
        "delete_server('rec-b', wait=True, delete_ips=True)": lambda sdk: sdk.delete_server(
            "rec-b", wait=True, delete_ips=True, timeout=20
        ),
        "delete_server('rec-b') again": lambda sdk: sdk.delete_server("rec-b", wait=True, timeout=20),
        "delete_server('rec-a', wait=True)": lambda sdk: sdk.delete_server("rec-a", wait=True, timeout=20),
    },
}
DISCOVERY = {"GET /identity/v3", "POST /identity/v3/auth/tokens", "GET /image", "GET /image/", "GET /compute/v2.1"}


LATER = {"08-create-server-auto-ip": 2}  # questions at the end until Nova knew the address, too: here it does at once


@pytest.fixture
def recorded_cloud(service_class, tmp_path, monkeypatch):
    """Makes a devcloud that is as the recorded cloud was when a scenario began."""
    monkeypatch.delenv("OS_CLOUD", raising=False)
    monkeypatch.setattr("deploymachine.devcloud.compute.PATIENCE", 0.0)
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda _: sleep(0.01))  # the SDK looks every 5 s
    recorded_choice.put(monkeypatch)
    with closing(service_class(tmp_path, "10.77.0.0/24", "203.0.113.0/24")) as service:
        yield service


def told(method, path, query):
    """Without ids, and a question's parts sorted; None for what asks where the services are."""
    pairs = sorted((name, ID.sub("{}", value)) for name, value in parse_qsl(query))
    line = f"{method} {ID.sub('{}', path)}"
    return None if line in DISCOVERY else line + (f" {pairs}" if pairs else "")


def in_turn(lines):
    """Of the same question asked again and again, one."""
    lines = [line for line in lines if line is not None]
    return [line for line, before in zip(lines, [None, *lines], strict=False) if line != before]


@pytest.mark.parametrize("scenario", CALLS)
def test_the_sdk_asks_the_same_in_the_same_order(recorded_cloud, scenario):
    exchanges = load(TRANSCRIPTS / f"{scenario}.json")
    World(recorded_cloud, exchanges, Names(recorded_cloud.layout.url)).make()
    asked = []
    plain = recorded_cloud.server.app

    def noting(environ, start_response):
        asked.append(told(environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", "")))
        answer = plain(environ, start_response)
        gate = recorded_cloud.machines.gate  # so that a server is seen in BUILD once, as it was
        (gate.set if asked[-1] == "GET /compute/v2.1/servers/{}" else gate.clear)()
        return answer

    recorded_cloud.server.app = noting
    with recorded_cloud.connect() as sdk:
        for name, call in CALLS[scenario].items():
            asked.clear()
            call(sdk)
            recorded = [one for one in exchanges if one.call == name]
            wanted = [told(one.method, *(PATHS[one.service] + one.path).partition("?")[::2]) for one in recorded]
            assert in_turn(asked) == in_turn(wanted)[: -LATER.get(scenario, 0) or None], name
