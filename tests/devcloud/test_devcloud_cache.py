"""Packages fetched once for all machines, and a devcloud emptied: on machines of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from leftovers import leftovers
from machine_world import Login, connect, let_in, sh, until

from deploymachine.devcloud import aptcache, control, layout
from deploymachine.devcloud.run import run

# What the SDK deprecates within itself; an error there would be swallowed by its waiting loops.
SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.devcloud, *(pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS)]
PACKAGE = "hello"


@pytest.fixture(scope="module")
def login():
    return Login()


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A devcloud beside the session's, with what every one has."""
    monkeypatch.delenv("DEPLOYMACHINE_DEVCLOUD_PACKAGES", raising=False)
    monkeypatch.setenv("DEPLOYMACHINE_DEVCLOUD_DIR", str(tmp_path / "state"))
    tmp_path.chmod(0o711)
    deployment = tmp_path / "deployment"
    deployment.mkdir()
    control.up(deployment, lambda _: None)
    place = layout.load(tmp_path / "state")
    try:
        with connect(deployment) as cloud:
            let_in(cloud)
        yield deployment, place
    finally:
        control.down(lambda _: None)
    assert leftovers(place) == []


def boot(cloud, login, name, **options):
    wanted = {"image": "debian-13", "flavor": "m1.tiny", "network": "private", "userdata": login.user_data()}
    return cloud.create_server(name, wait=True, auto_ip=False, timeout=90, **{**wanted, **options})


def test_a_package_is_fetched_once_and_also_when_the_cache_is_dead(own, devcloud, login):
    deployment, place = own
    log = Path(place.directory / "aptcache/log/apt-cacher.log")
    with connect(deployment) as cloud:
        for name in ("first", "second"):
            server = boot(cloud, login, name)
            with login.connect(server.private_v4) as ssh:
                sh(ssh, f"apt-get update -qq && apt-get install -qqy {PACKAGE} && {PACKAGE}")
        assert until(lambda: log.read_text().count(f"/{PACKAGE}_") >= 3)  # in once, out twice
        fetched = [line for line in log.read_text().splitlines() if f"/{PACKAGE}_" in line and "|I|" in line]
        assert len(fetched) == 1
        os.kill(aptcache.running(place).pid, signal.SIGKILL)
        with login.connect(server.private_v4) as ssh:
            sh(ssh, f"apt-get clean && apt-get update -qq && apt-get install -qqy --reinstall {PACKAGE}")
    assert control.up(deployment, lambda _: None)  # starts it again
    assert aptcache.running(place) is not None


def test_a_reset_leaves_an_empty_cloud_at_the_same_address(own, devcloud, login):
    deployment, place = own
    with connect(deployment) as cloud:
        volume = cloud.create_volume(1, wait=True, timeout=30)
        server = boot(cloud, login, "gone", volumes=[volume.id])
        cloud.create_image_snapshot("baked", server, wait=True, timeout=60)
        cloud.create_floating_ip("public")
        cloud.create_keypair("mine", login.user_line)
        control.reset(deployment, lambda _: None)
        assert not run(["losetup", "--list", "--noheadings"]).count(str(place.directory))
        for rows in (cloud.list_servers(), cloud.list_volumes(), cloud.list_floating_ips(), cloud.list_keypairs()):
            assert rows == []
        assert sorted(image.name for image in cloud.list_images()) == ["debian-12", "debian-13"]
        let_in(cloud)
        again = boot(cloud, login, "again")
        login.connect(again.private_v4).close()
