"""Whatever keeps us from the cloud is told once, with where, why and what to do."""

import socket

import pytest
import yaml

from deploymachine.cloud import connect
from deploymachine.errors import CloudError
from tests.unit.cloud.fake_openstack import make_settings


def refused(settings):
    with pytest.raises(CloudError) as caught:
        connect(settings)
    error = caught.value
    assert error.where
    assert error.why
    assert error.hint
    assert "Traceback" not in str(error)
    return error


def rewrite(settings, change):
    path = settings.directory / "clouds.yaml"
    content = yaml.safe_load(path.read_text())
    change(content["clouds"]["here"])
    path.write_text(yaml.safe_dump(content))


@pytest.fixture
def settings(tmp_path, openstack):
    return make_settings(tmp_path, openstack)


def test_no_such_cloud(tmp_path, openstack):
    error = refused(make_settings(tmp_path, openstack, OPENSTACK_CLOUD="her"))
    assert error.what == "There is no cloud 'her'; did you mean 'here'?"
    assert error.where.endswith("site/clouds.yaml")
    assert error.why == "the clouds there are: here"


def test_no_credentials_at_all(settings):
    (settings.directory / "clouds.yaml").unlink()
    error = refused(settings)
    assert error.what == "There are no credentials for a cloud"
    assert str(settings.directory) in error.where
    assert "clouds.yaml" in error.hint


def test_devcloud_is_down(tmp_path, openstack):
    error = refused(make_settings(tmp_path, openstack, OPENSTACK_CLOUD="devcloud"))
    assert (error.what, error.hint) == ("The devcloud is not up", "`fab devcloud_up` starts it")


def test_several_clouds_and_none_chosen(tmp_path, openstack):
    settings = make_settings(tmp_path, openstack, OPENSTACK_CLOUD=None)
    path = settings.directory / "clouds.yaml"
    content = yaml.safe_load(path.read_text())
    content["clouds"]["there"] = content["clouds"]["here"]
    path.write_text(yaml.safe_dump(content))
    assert refused(settings).why == "the clouds there are: here, there"


def test_wrong_password(tmp_path, openstack):
    error = refused(make_settings(tmp_path, openstack, user="wrong"))
    assert error.what == "The cloud refuses these credentials"
    assert error.where == f"here at {openstack.url}/v3"
    assert error.why == "The request you have made requires authentication. (HTTP 401)"
    assert "wrong" not in str(error)


def test_nobody_listens(settings):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    rewrite(settings, lambda cloud: cloud["auth"].update(auth_url=f"http://127.0.0.1:{port}/v3"))
    error = refused(settings)
    assert error.what == "The cloud can't be reached"
    assert error.where == f"here at http://127.0.0.1:{port}/v3"
    assert "refused" in error.why


def test_an_address_that_swallows_everything(settings, monkeypatch):
    monkeypatch.setattr("deploymachine.cloud.login.LOGIN_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        rewrite(settings, lambda cloud: cloud["auth"].update(auth_url=f"http://127.0.0.1:{port}/v3"))
        error = refused(settings)
    assert error.what == "The cloud can't be reached"
    assert "timed out" in error.why.lower()


@pytest.mark.parametrize("path", ["/compute/v2.1/servers", "/image", "/v3/nothing"])
def test_something_else_answers_there(settings, openstack, path):
    rewrite(settings, lambda cloud: cloud["auth"].update(auth_url=openstack.url + path))
    error = refused(settings)
    assert error.what == "What answers at auth_url is no Keystone"
    assert "auth_url" in error.hint


def test_keystone_has_trouble(settings, openstack):
    openstack.faults.append(("POST", "/v3/auth", 503, {"error": {"code": 503, "message": "database is down"}}))
    error = refused(settings)
    assert error.what == "The cloud's Keystone answers with an error"
    assert "503" in error.why
    assert "cloud's side" in error.hint


def test_incomplete_credentials(settings):
    rewrite(settings, lambda cloud: cloud["auth"].pop("auth_url"))
    error = refused(settings)
    assert "auth_url" in error.why
    assert error.where.endswith("clouds.yaml")


def test_a_clouds_yaml_that_is_no_yaml(settings):
    (settings.directory / "clouds.yaml").write_text("clouds:\n  here: [\n")
    with pytest.raises(CloudError, match="can't be read") as caught:
        connect(settings)
    assert "line" in caught.value.why


@pytest.mark.parametrize(("service", "act"), [("compute", "servers"), ("network", "boot"), ("image", "boot")])
def test_a_service_is_missing_in_the_catalogue(settings, openstack, service, act):
    openstack.services.pop(service)
    cloud = connect(settings)
    with pytest.raises(CloudError) as caught:
        cloud.servers() if act == "servers" else cloud.boot(["appnode1"])
    assert service in caught.value.why
    assert "region_name" in caught.value.hint
    assert not openstack.servers


def test_a_region_that_is_not_there(settings):
    rewrite(settings, lambda cloud: cloud.update(region_name="elsewhere"))
    with pytest.raises(CloudError) as caught:
        connect(settings).servers()
    assert "elsewhere" in caught.value.why
