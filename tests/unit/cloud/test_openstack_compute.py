"""`openstack-compute` as a user runs it: the real command of python-openstackclient against a cloud over HTTP."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploymachine import openstack_compute
from tests.unit.cloud.fake_openstack import KEY, make_settings

# python-openstackclient's libraries warn about each other; it silences them once its shell is up.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")

SETTINGS = """
DEPLOYMENT = "guestbook"
OPENSTACK_CLOUD = "here"
OPENSTACK_SERVERS = {{"appnode": [("appnode1", "m1.small")]}}
SSH_PORT = {port}
ADMIN_SSH_KEYS = ["{key}"]
"""


@pytest.fixture
def site(tmp_path, openstack, sshd):
    directory = make_settings(tmp_path, openstack).directory
    (directory / "settings.py").write_text(SETTINGS.format(port=sshd, key=KEY))
    return directory


@pytest.fixture
def run(monkeypatch, capsys):
    """run(directory, *words) -> (exit code, stdout, stderr); in this process: importing openstack takes a second."""
    monkeypatch.setattr("openstack.config.loader.CONFIG_SEARCH_PATH", [])
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(directory, *words):
        monkeypatch.chdir(directory)
        for name in ("OS_CLOUD", "OS_CLIENT_CONFIG_FILE", "OS_CLIENT_SECURE_FILE"):
            monkeypatch.setenv(name, "")  # so that what the command sets is taken back in the end
            monkeypatch.delenv(name)
        root.handlers = []
        code = openstack_compute.main(words)
        return (code, *capsys.readouterr())

    yield run
    root.handlers, root.level = handlers, level


@pytest.fixture
def ok(run):
    def ok(*words):
        code, out, err = run(*words)
        assert code == 0, err
        return out

    return ok


@pytest.fixture
def refused(run):
    def refused(*words):
        code, _, err = run(*words)
        assert code == 1
        assert err.startswith("error: ")
        assert "Traceback" not in err
        return err.removeprefix("error: ")

    return refused


def test_boot_list_show_delete(site, openstack, ok):
    openstack.add_server("appnode1", {"deploymachine_deployment": "another"})
    phases = ["BUILD", "ACTIVE", "cloud-init", "SSH"]
    assert ok(site, "boot", "appnode1").splitlines() == [f"appnode1: {phase}" for phase in phases]
    [row] = json.loads(ok(site, "list", "-f", "json"))
    address = row.pop("Private IP")
    assert address.startswith("127.77.0.")
    assert row == {
        "Name": "appnode1",
        "Type": "appnode",
        "State": "ACTIVE",
        "Public IP": "",
        "Flavor": "m1.small",
        "Image": "debian-13",
    }
    assert ok(site, "list", "-f", "value", "-c", "Name", "-c", "Type") == "appnode1 appnode\n"
    assert ok(site, "show", "appnode1", "-f", "value", "-c", "addresses").strip() == str({"private": [address]})
    assert ok(site, "delete", "appnode1").splitlines() == ["appnode1: DELETING", "appnode1: GONE"]
    assert ok(site, "list", "-f", "json") == "[]\n"
    assert len(openstack.servers) == 1


def installed(directory, *words):
    """The installed command in a process of its own: openstack keeps its clients, for one cloud a process."""
    command = Path(sys.executable).parent / "openstack-compute"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    done = subprocess.run([command, *words], cwd=directory, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_lists_of_images_and_flavors(site):
    assert "debian-13" in installed(site, "image-list", "-f", "value", "-c", "Name").splitlines()
    assert "m1.small" in installed(site, "flavor-list", "-f", "value", "-c", "Name").splitlines()


def test_without_settings_it_speaks_of_the_whole_project(site, openstack):
    openstack.add_server("pet", {})
    (site / "settings.py").unlink()
    assert installed(site, "list", "--os-cloud", "here", "-f", "value", "-c", "Name") == "pet\n"


def test_it_explains_itself_without_a_cloud(tmp_path):
    usage = installed(tmp_path, "--help")
    assert usage == openstack_compute.USAGE
    for word in ("list", "show", "boot", "delete", "image-list", "flavor-list"):
        assert f"  {word}" in usage or f", {word}" in usage


def test_errors_are_told_once(site, openstack, tmp_path, refused):
    assert refused(site, "bot", "appnode1").startswith("There is no command 'bot'; did you mean 'boot'?\n")
    assert refused(site, "show", "appnode9").startswith("There is no server 'appnode9'\n")
    assert refused(site, "boot", "appnode1", "--image", "debain-13").startswith(
        "There is no image 'debain-13'; did you"
    )
    assert "m1.smal" in refused(site, "boot", "appnode1", "--flavor", "m1.smal")
    assert not openstack.servers
    text = (site / "settings.py").read_text()
    (site / "settings.py").write_text(text.replace('"here"', '"her"'))
    assert refused(site, "list").startswith("There is no cloud 'her'; did you mean 'here'?\n")
    (site / "settings.py").write_text(text.replace("DEPLOYMENT", "DEPLOYMNT"))
    assert "did you mean 'DEPLOYMENT'" in refused(site, "list")
    assert refused(tmp_path, "boot", "appnode1").startswith("There is no settings.py here\n")


@pytest.mark.parametrize("command", ["list", "image-list"])
def test_a_refused_login_is_told_as_fab_tells_it(tmp_path, openstack, site, command, refused):
    make_settings(tmp_path, openstack, user="wrong")
    error = refused(site, command)
    assert error.startswith("The cloud refuses these credentials\n  where  here at http://127.0.0.1:")
    assert "clouds.yaml" in error
