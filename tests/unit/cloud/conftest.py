"""What every test of the cloud part starts from: a fake OpenStack, settings that name it, a greeting sshd."""

import os

import pytest

from deploymachine import servertypes
from deploymachine.cloud import connect, create, kill, patience, volumes, watch
from tests.unit.cloud.fake_openstack import FakeOpenStack, greeting_server, make_settings


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """No credentials of whoever runs the tests, no waiting between two looks, known server types."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("openstack.config.loader.CONFIG_FILES", [str(tmp_path / "home" / "clouds.yaml")])
    monkeypatch.setattr("openstack.config.loader.SECURE_FILES", [])
    monkeypatch.setattr(watch, "POLLS", (0.01,))
    monkeypatch.setattr(watch, "LAST_POLL", 0.01)
    monkeypatch.setattr(create, "ASK_AGAIN_AFTER", (0.01, 0.01))
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(volumes, "POLL", 0.01)
    monkeypatch.setattr(kill, "POLL", 0.01)
    monkeypatch.setattr(servertypes, "names", lambda: ("appnode", "dbserver", "loadbalancer"))


@pytest.fixture
def openstack():
    with FakeOpenStack() as cloud:
        yield cloud


@pytest.fixture
def sshd():
    """The port where every 127.x address greets as sshd does."""
    port, stop = greeting_server()
    yield port
    stop()


@pytest.fixture
def settings(tmp_path, openstack, sshd):
    return make_settings(tmp_path, openstack, SSH_PORT=sshd)


@pytest.fixture
def cloud(settings):
    cloud = connect(settings)
    yield cloud
    cloud.close()
