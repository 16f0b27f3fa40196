"""Keystone's door: by password, by application credential, refused; and a cloud whose Nova is years older."""

from __future__ import annotations

import pytest
import yaml

from deploymachine.cloud import connect
from deploymachine.errors import CloudError

pytestmark = [pytest.mark.openstack, pytest.mark.filterwarnings("ignore:::openstack")]


@pytest.mark.parametrize("name", ["demo", "demo-credential"])
def test_logged_in(settings, name):
    cloud = connect(settings.model_copy(update={"OPENSTACK_CLOUD": name}))
    assert len(cloud.servers()) == 0
    cloud.close()


@pytest.mark.parametrize(
    ("name", "key", "value", "words"),
    [
        ("demo", "password", "wrong", "The cloud refuses these credentials"),
        ("demo", "project_name", "nobodys", "The cloud refuses these credentials"),
        ("demo-credential", "application_credential_secret", "wrong", "The cloud refuses these credentials"),
        ("demo", "auth_url", "http://127.0.0.1:9/v3", "The cloud can't be reached"),
    ],
)
def test_refused(settings, tmp_path, name, key, value, words):
    clouds = yaml.safe_load((settings.directory / "clouds.yaml").read_text())
    clouds["clouds"][name]["auth"][key] = value
    (tmp_path / "clouds.yaml").write_text(yaml.safe_dump(clouds))
    elsewhere = settings.model_copy(update={"OPENSTACK_CLOUD": name, "directory": tmp_path})
    with pytest.raises(CloudError, match=words):
        connect(elsewhere)


def test_an_unknown_region_is_told(settings, tmp_path):
    clouds = yaml.safe_load((settings.directory / "clouds.yaml").read_text())
    clouds["clouds"]["demo"]["region_name"] = "mars"
    (tmp_path / "clouds.yaml").write_text(yaml.safe_dump(clouds))
    elsewhere = settings.model_copy(update={"directory": tmp_path})
    with pytest.raises(CloudError, match="region"):
        connect(elsewhere).servers()


def test_a_nova_of_2019_boots_lists_and_deletes(settings, sdk):
    versions = sdk("demo-2019").compute.get_endpoint_data()
    assert versions.max_microversion == (2, 79)
    cloud = connect(settings.model_copy(update={"OPENSTACK_CLOUD": "demo-2019"}))
    try:
        booted = cloud.boot(["appnode1"])
        assert [(s.name, s.state, s.flavor, s.image, s.memory_mb) for s in booted] == [
            ("appnode1", "ACTIVE", "m1.small", "debian-13", 1024)
        ]
        assert cloud.boot(["appnode1"]) == booted == list(cloud.servers())
        assert "appnode1" in cloud.console_log("appnode1")
        cloud.delete(["appnode1"])
        assert len(cloud.servers()) == 0
        assert not list(cloud.connection.network.ips())
    finally:
        cloud.close()
