"""settings.py: what is read, and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploymachine.errors import SettingsError
from deploymachine.inventory import Inventory, fixed
from deploymachine.settings import Database, Settings, Site, load
from deploymachine.settings_file import execute
from deploymachine.ssh import Login, login

DIST = Path(__file__).parents[3] / "settings.py.dist"


def told(directory: Path, old: str, new: str) -> str:
    """The message for settings.py with `old` replaced by `new`."""
    path = directory / "settings.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(SettingsError) as caught:
        load(directory)
    return str(caught.value)


def test_values_are_read_frozen(settings: Settings, directory: Path) -> None:
    assert settings.DEPLOYMENT == "mysite"
    assert settings.SITES["blog"].port == 8000
    assert settings.server_names()["appnode2"] == ("appnode", "m1.small")
    assert settings.state == directory / ".deploymachine"
    with pytest.raises(ValueError, match="frozen"):
        settings.SSH_PORT = 22


def test_the_example_names_every_setting_and_is_valid(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text(DIST.read_text())
    named = execute(tmp_path / "settings.py")
    not_written = {"directory", "environment", "between"}
    assert {name for name in named if name.isupper()} == set(Settings.model_fields) - not_written
    assert set(named["SITES"]["guestbook"]) == set(Site.model_fields)
    assert set(named["DATABASES"]["guestbook"]) == set(Database.model_fields)
    assert load(tmp_path).DEPLOYMENT == "mysite"


def test_what_is_not_said_is_what_the_example_says(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text(DIST.read_text())
    example = load(tmp_path)
    differ = {
        name
        for name, field in Settings.model_fields.items()
        if not field.is_required() and getattr(example, name) != field.default
    }
    assert differ == {"OPENSTACK_SERVERS", "BASE_PACKAGES", "SITES", "DATABASES"}


def test_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no settings\.py here") as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "deploymachine init" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("DEPLOYMENT", "DEPLOYMNET", ["unknown setting DEPLOYMNET", "did you mean 'DEPLOYMENT'"]),
        ('"wsgi"', '"wsgy"', ["SITES['blog']['wsgy']", "did you mean 'wsgi'"]),
        ('"appnode": [', '"apnode": [', ["unknown server type 'apnode'", "did you mean 'appnode'"]),
        ('"database": "blog"', '"database": "blgo"', ["'blgo' is not in DATABASES", "did you mean 'blog'"]),
        ('["id_ed25519.pub"]', "[]", ["ADMIN_SSH_KEYS", "nobody could log in"]),
        ('"appnode2"', '"appnode1"', ["appnode1 stands there twice"]),
        ('"blog.wsgi:application"', '"blog.wsgi"', ["SITES['blog']['wsgi']", "'blog.wsgi'"]),
        ('"mysite"', '"My Site!"', ["DEPLOYMENT", "My Site!"]),
        ('DEPLOYMENT = "mysite"', "DEPLOYMENT = (", ["not valid Python", "settings.py:"]),
        ('DEPLOYMENT = "mysite"', "DEPLOYMENT = nobody", ["raised while it was read", "settings.py:2", "nobody"]),
    ],
)
def test_a_mistake_is_named_with_its_path(directory: Path, old: str, new: str, words: list[str]) -> None:
    message = told(directory, old, new)
    assert "settings.py" in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("port", [22, 443, 0, 70000])
def test_ssh_port_is_a_free_port(directory: Path, port: int) -> None:
    assert "SSH_PORT" in told(directory, 'DEPLOYMENT = "mysite"', f'DEPLOYMENT = "mysite"\nSSH_PORT = {port}')


@pytest.mark.parametrize("path", ["/etc", "../other", "a/../../b"])
def test_a_sites_directory_stays_in_its_repository(directory: Path, path: str) -> None:
    assert "inside the repository" in told(
        directory, '"repository": "blog",', f'"repository": "x", "directory": {path!r},'
    )


def test_servers_on_no_openstack(directory: Path) -> None:
    path = directory / "settings.py"
    fixed_server = {"name": "old1", "ip": "192.0.2.9", "port": 22, "user": "root"}
    path.write_text(path.read_text() + f"SERVERS = {{'appnode': [{fixed_server}]}}\n")
    old = Inventory(fixed(load(directory))).named("old1")
    assert (old.type, old.address, old.user, old.port) == ("appnode", "192.0.2.9", "root", 22)
    assert login(old, load(directory)) == Login("root", 22)
    assert "SERVERS['appnode'][0]['ip']" in told(directory, "192.0.2.9", "192.0.2")


def test_some_server_has_to_be_named(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text('DEPLOYMENT = "mysite"\nADMIN_SSH_KEYS = ["a.pub"]\n')
    with pytest.raises(SettingsError, match="names no server"):
        load(tmp_path)
