"""What ssh-keygen and Paramiko find in the files is what was pinned; lines of others stay as they are."""

import subprocess
import threading

import paramiko
import pytest

from deploymachine.cloud.userdata import new_host_key
from deploymachine.hostkeys import HostKeys
from tests.unit.cloud.fake_openstack import make_settings

ONE, TWO = new_host_key().public, new_host_key().public


@pytest.fixture
def settings(tmp_path, openstack):
    return make_settings(tmp_path, openstack)


@pytest.fixture
def shared(tmp_path, openstack):
    """Settings whose known_hosts lines also go to the user's own file, which has lines of others."""
    path = tmp_path / "ssh" / "known_hosts"
    path.parent.mkdir()
    path.write_text(f"# mine\ngithub.example ssh-ed25519 {TWO.split()[1]} me\n")
    return make_settings(tmp_path, openstack, SSH_USER_KNOWN_HOSTS=str(path)), path


def found_by_ssh(path, host):
    return subprocess.run(["ssh-keygen", "-F", host, "-f", path], capture_output=True, text=True).stdout


def test_what_is_pinned_is_what_ssh_and_paramiko_find(settings):
    keys = HostKeys(settings)
    for port in (22, 2222):
        assert keys.pin("appnode1", "10.0.0.5", port, f"{ONE} some comment") == []
    assert keys.get("10.0.0.5", 22) == keys.get("10.0.0.5", 2222) == ONE
    assert keys.get("10.0.0.5", 2223) is None
    assert ONE in found_by_ssh(keys.path, "10.0.0.5")
    assert ONE in found_by_ssh(keys.path, "[10.0.0.5]:2222")
    loaded = paramiko.HostKeys(str(keys.path))
    assert loaded["[10.0.0.5]:2222"]["ssh-ed25519"].get_base64() == ONE.split()[1]
    assert keys.path.read_text().splitlines()[0] == f"10.0.0.5 {ONE} deploymachine:guestbook/appnode1"
    assert keys.path.stat().st_mode & 0o777 == 0o600


def test_an_address_has_one_line_and_a_server_can_be_forgotten(settings):
    keys = HostKeys(settings)
    keys.pin("appnode1", "10.0.0.5", 22, ONE)
    keys.pin("appnode1", "10.0.0.6", 22, ONE)
    keys.pin("appnode12", "10.0.0.5", 22, TWO)
    assert keys.get("10.0.0.5", 22) == TWO
    assert keys.get("10.0.0.5", 22, "appnode1") is None
    keys.unpin("appnode1")
    assert keys.get("10.0.0.6", 22) is None
    assert keys.get("10.0.0.5", 22) == TWO


def test_the_users_file_gets_the_same_lines_and_loses_only_ours(shared):
    settings, path = shared
    before = path.read_text()
    keys = HostKeys(settings)
    keys.pin("appnode1", "10.0.0.5", 2222, ONE)
    assert path.read_text() == before + f"[10.0.0.5]:2222 {ONE} deploymachine:guestbook/appnode1\n"
    keys.unpin("appnode1")
    assert path.read_text() == before


@pytest.mark.parametrize("hashed", [False, True])
def test_a_foreign_line_that_contradicts_is_left_alone_and_told(shared, hashed):
    settings, path = shared
    path.write_text(f"other,[10.0.0.5]:2222 {TWO}\n")
    if hashed:
        subprocess.run(["ssh-keygen", "-H", "-f", path], check=True, capture_output=True)
    before = path.read_text()
    [warning] = HostKeys(settings).pin("appnode1", "10.0.0.5", 2222, ONE)
    assert warning.startswith(f"{path}:")
    assert "[10.0.0.5]:2222" in warning
    assert path.read_text().startswith(before)
    assert HostKeys(settings).pin("appnode1", "10.0.0.5", 2222, TWO) == []


def test_a_linked_known_hosts_stays_a_link(shared, tmp_path):
    settings, path = shared
    link = tmp_path / "link"
    link.symlink_to(path)
    HostKeys(settings.model_copy(update={"SSH_USER_KNOWN_HOSTS": str(link)})).pin("appnode1", "10.0.0.5", 22, ONE)
    assert link.is_symlink()
    assert ONE in path.read_text()


def test_many_at_once_lose_nothing(settings):
    keys = HostKeys(settings)
    threads = [threading.Thread(target=keys.pin, args=(f"node{n}", f"10.0.0.{n}", 22, ONE)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(keys.get(f"10.0.0.{n}", 22) == ONE for n in range(20))
