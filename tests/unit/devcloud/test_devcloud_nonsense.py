"""Whatever is sent to the disks' and servers' routes, the answer is a refusal and nothing has changed."""

from __future__ import annotations

import itertools

import pytest
import requests

# What the SDK deprecates within itself; an error there would be swallowed by its waiting loops.
SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS]
NONSENSE = (None, [], "x", 7, {}, {"x": 1}, [None], {"": None}, -1, True)
WRAPPED = {
    "/compute/v2.1/servers/{server}/os-volume_attachments": ["volumeAttachment"],
    "/compute/v2.1/os-server-groups": ["server_group"],
    "/volume/v3/p/volumes": ["volume"],
}
ACTIONS = ("createImage", "rebuild", "resize", "confirmResize", "revertResize")
FIELDS = {
    "volume": ("size", "name", "metadata", "imageRef", "source_volid", "volume_type", "availability_zone"),
    "server_group": ("name", "policy", "policies", "rules"),
    "volumeAttachment": ("volumeId", "device", "tag", "delete_on_termination"),
}


def requests_of_nonsense(server, image, flavor):
    """(path, body) in plenty."""
    for (path, (name,)), value in itertools.product(WRAPPED.items(), NONSENSE):
        yield path.format(server=server), {name: value}
        for field in FIELDS[name] if value != 7 else ():
            yield path.format(server=server), {name: {"size": -1, field: value}}
    for action, value in itertools.product(ACTIONS, NONSENSE):
        yield f"/compute/v2.1/servers/{server}/action", {action: value}
    good = {"name": "x", "imageRef": image, "flavorRef": flavor}
    for value in NONSENSE[1:]:
        for field in ("source_type", "uuid", "volume_size", "boot_index", "destination_type", "tag"):
            row = {"source_type": "blank", "destination_type": "volume", "volume_size": 0, field: value}
            yield "/compute/v2.1/servers", {"server": {**good, "block_device_mapping_v2": [row]}}
        if value:
            yield "/compute/v2.1/servers", {"server": {**good, "block_device_mapping_v2": value}}
            yield "/compute/v2.1/servers", {"server": good, "os:scheduler_hints": {"group": value}}


def test_nonsense_is_refused_and_changes_nothing(service, sdk):
    image, flavor = sdk.get_image("debian-13").id, sdk.get_flavor("m1.tiny").id
    server = sdk.create_server("one", image=image, flavor=flavor, network="private", auto_ip=False, wait=True).id
    token = {"X-Auth-Token": service.cloud.token(), "X-OpenStack-Nova-API-Version": "2.79"}
    before = service.cloud.compute.server(server)
    wrong = []
    with requests.Session() as session:
        for path, body in requests_of_nonsense(server, image, flavor):
            answer = session.post(service.layout.url + path, json=body, headers=token, timeout=10)
            if not 400 <= answer.status_code < 500:
                wrong.append(f"{path} {body} -> {answer.status_code}")
    assert not wrong, "\n".join(wrong)
    assert service.cloud.compute.server(server) == before
    assert (len(sdk.list_servers()), sdk.list_volumes(), sdk.list_server_groups()) == (1, [], [])
