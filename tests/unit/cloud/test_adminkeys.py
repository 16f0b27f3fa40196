import subprocess

import pytest

from deploymachine import adminkeys
from deploymachine.errors import SettingsError
from tests.unit.cloud.fake_openstack import KEY, make_settings


@pytest.fixture
def read(tmp_path, openstack):
    return lambda *entries: adminkeys.read(make_settings(tmp_path, openstack, ADMIN_SSH_KEYS=entries))


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "it is me", "-f", path], check=True)
    return path


def refused(read, *entries):
    with pytest.raises(SettingsError) as caught:
        read(*entries)
    assert caught.value.where.startswith("ADMIN_SSH_KEYS[")
    assert caught.value.hint
    return caught.value


def test_lines_and_files_relative_to_the_settings_or_the_home(read, key_file, monkeypatch):
    public = key_file.with_suffix(".pub").read_text().strip()
    monkeypatch.setenv("HOME", str(key_file.parent))
    assert read(KEY, "~/id_ed25519.pub", "../id_ed25519.pub", f"  {KEY}\n") == (KEY, public)


@pytest.mark.parametrize("kind", [("rsa", "2048"), ("ecdsa", "256"), ("ed25519", "256")])
def test_every_kind_that_ssh_keygen_makes(read, tmp_path, kind):
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind[0], "-b", kind[1], "-N", "", "-f", path], check=True)
    assert read(str(path) + ".pub") == (path.with_suffix(".pub").read_text().strip(),)


def test_a_file_with_several_keys_and_comments(read, tmp_path):
    (tmp_path / "keys").write_text(f"# the team\n\n{KEY}\n")
    assert read(str(tmp_path / "keys")) == (KEY,)


def test_a_private_key_is_never_sent_nor_shown(read, key_file):
    private = key_file.read_text()
    for entry in (str(key_file), private):
        error = refused(read, KEY, entry)
        assert error.what == "ADMIN_SSH_KEYS names a private key"
        assert error.where.startswith("ADMIN_SSH_KEYS[1]")
        assert private.splitlines()[1] not in str(error)
    assert f"{key_file}.pub" in refused(read, str(key_file)).hint


def test_a_missing_file_says_how_to_make_one(read, tmp_path):
    error = refused(read, "~/nobody/id_ed25519.pub")
    assert "not there" in error.what
    assert "ssh-keygen -t ed25519 -f" in error.hint


@pytest.mark.parametrize(
    "entry", ["ssh-dss AAAAB3NzaC1kc3M= me", "ssh-ed25519 AAAA", KEY[:60], "ssh-rsa " + KEY.split()[1]]
)
def test_what_is_no_key(read, entry):
    assert refused(read, entry).what == "This is not an SSH public key"


def test_an_empty_or_unreadable_file(read, tmp_path):
    (tmp_path / "empty.pub").write_text("\n")
    assert "is empty" in refused(read, str(tmp_path / "empty.pub")).what
    with pytest.raises(SettingsError, match="can't be read"):
        read(str(tmp_path))
