"""The secrets file: plain, encrypted with age, converted; values from elsewhere; values that take turns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from deploymachine import secrets, secrets_sources
from deploymachine.errors import SettingsError, UsageError
from deploymachine.secrets import Secrets
from deploymachine.settings import Settings, load

SETTINGS = """
DEPLOYMENT = "mysite"
SERVERS = {"appnode": [{"name": "one", "ip": "192.0.2.1"}]}
ADMIN_SSH_KEYS = ["key.pub"]
"""


@pytest.fixture(autouse=True)
def _nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEPLOYMACHINE_AGE_IDENTITY", raising=False)
    monkeypatch.delenv("DEPLOYMACHINE_SETTINGS", raising=False)
    monkeypatch.setattr(secrets_sources, "_fetched", {})


def settings_with(directory: Path, more: str = "") -> Settings:
    (directory / "settings.py").write_text(SETTINGS + more)
    return load(directory)


def identity(directory: Path, name: str = "identity") -> str:
    """A new one in a file; its public key."""
    made = pyrage.x25519.Identity.generate()
    (directory / name).write_text(f"# created: today\n{made}\n")
    return str(made.to_public())


def sealed(directory: Path) -> Settings:
    return settings_with(directory, f"SECRETS_RECIPIENTS = [{identity(directory)!r}]\nSECRETS_IDENTITY = 'identity'\n")


def state(directory: Path) -> dict[str, Path]:
    there = directory / ".deploymachine"
    return {"plain": there / "secrets.json", "sealed": there / "secrets.json.age"}


def test_without_recipients_it_is_plain_and_its_owners_alone(tmp_path: Path) -> None:
    made = secrets.of(settings_with(tmp_path))
    password = made.password("cache")
    assert json.loads(state(tmp_path)["plain"].read_text()) == {"cache": password}
    assert state(tmp_path)["plain"].stat().st_mode & 0o777 == 0o600
    assert secrets.of(load(tmp_path)).password("cache") == password


def test_with_a_recipient_a_plain_file_is_converted_and_nothing_of_it_is_left_readable(tmp_path, capsys) -> None:
    password = secrets.of(settings_with(tmp_path)).password("cache")
    found = secrets.of(sealed(tmp_path))
    assert found.password("cache") == password
    assert not state(tmp_path)["plain"].exists()
    assert state(tmp_path)["sealed"].read_bytes().startswith(b"age-encryption.org/v1")
    assert state(tmp_path)["sealed"].stat().st_mode & 0o777 == 0o600
    assert "is encrypted now" in capsys.readouterr().err
    assert [path for path in (tmp_path / ".deploymachine").iterdir() if password.encode() in path.read_bytes()] == []
    other = found.key("site-blog-secret-key")
    assert secrets.of(load(tmp_path)).key("site-blog-secret-key") == other
    assert sorted(found.every()) == sorted([password, other])


def test_an_ssh_key_will_do(tmp_path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada@home", "-f", tmp_path / "key"], check=True
    )
    found = secrets.of(settings_with(tmp_path, "SECRETS_RECIPIENTS = ['key.pub']\nSECRETS_IDENTITY = 'key'\n"))
    assert secrets.of(load(tmp_path)).password("cache") == found.password("cache")


def test_the_environment_names_another_identity_or_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password = secrets.of(sealed(tmp_path)).password("cache")
    text = (tmp_path / "identity").read_text()
    (tmp_path / "identity").rename(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="identity of age can't be read"):
        secrets.of(load(tmp_path)).password("cache")
    for said in (str(tmp_path / "elsewhere"), text.splitlines()[1]):
        monkeypatch.setenv("DEPLOYMACHINE_AGE_IDENTITY", said)
        assert secrets.of(load(tmp_path)).password("cache") == password


def test_another_recipient_reads_it_from_the_next_command_on(tmp_path: Path) -> None:
    password = secrets.of(sealed(tmp_path)).password("cache")
    colleague = identity(tmp_path, "colleague")
    path = tmp_path / "settings.py"
    path.write_text(path.read_text().replace("SECRETS_RECIPIENTS = [", f"SECRETS_RECIPIENTS = [{colleague!r}, "))
    assert secrets.of(load(tmp_path)).password("cache") == password
    path.write_text(path.read_text().replace("'identity'", "'colleague'"))
    assert secrets.of(load(tmp_path)).password("cache") == password


def test_who_could_not_read_it_afterwards_is_stopped_before_anything_is_lost(tmp_path: Path) -> None:
    password = secrets.of(settings_with(tmp_path)).password("cache")
    stranger = identity(tmp_path, "stranger")
    identity(tmp_path)
    wrong = settings_with(tmp_path, f"SECRETS_RECIPIENTS = [{stranger!r}]\nSECRETS_IDENTITY = 'identity'\n")
    with pytest.raises(SettingsError, match="could not read the secrets any more"):
        secrets.of(wrong).password("cache")
    assert json.loads(state(tmp_path)["plain"].read_text()) == {"cache": password}
    assert not state(tmp_path)["sealed"].exists()


def test_without_recipients_again_it_is_not_made_anew(tmp_path: Path) -> None:
    secrets.of(sealed(tmp_path)).password("cache")
    with pytest.raises(SettingsError, match="SECRETS_RECIPIENTS names nobody"):
        secrets.of(settings_with(tmp_path)).password("cache")
    assert not state(tmp_path)["plain"].exists()


def test_two_files_that_differ_are_nobodys_guess(tmp_path: Path) -> None:
    found = secrets.of(sealed(tmp_path))
    found.password("cache")
    state(tmp_path)["plain"].write_text('{"cache": "older"}')
    with pytest.raises(SettingsError, match="both there, and differ"):
        found.password("cache")


def test_a_conversion_that_was_killed_is_done_again(tmp_path: Path) -> None:
    found = secrets.of(sealed(tmp_path))
    password = found.password("cache")
    state(tmp_path)["plain"].write_text(json.dumps({"cache": password}))
    assert found.password("cache") == password
    assert not state(tmp_path)["plain"].exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("SECRETS_RECIPIENTS = ['age1nonsense']", "is no recipient of age"),
        ("SECRETS_RECIPIENTS = ['nowhere.pub']", "a file can't be read"),
        ("SECRETS = {'api': {}}", 'is {"environment": "A_NAME"} or {"command"'),
        ("SECRETS = {'api': {'command': ['pass'], 'environment': 'A'}}", 'is {"environment": "A_NAME"} or'),
        ("SECRETS = {'api': {'command': []}}", "has an empty command"),
        ("SECRETS = {'api': {'comand': ['pass']}}", "did you mean 'command'"),
        ("SECRETS = {'Api Key': {'command': ['pass']}}", "SECRETS"),
        ("PRODUCTION = 'perhaps'", "PRODUCTION"),
    ],
)
def test_what_settings_may_not_say(tmp_path: Path, more: str, told: str) -> None:
    with pytest.raises(SettingsError) as error:
        secrets.of(settings_with(tmp_path, more))
    assert told in str(error.value)


def test_an_identity_among_the_recipients_is_refused_and_not_shown(tmp_path: Path) -> None:
    secret = str(pyrage.x25519.Identity.generate())
    with pytest.raises(SettingsError, match="must stay secret") as error:
        settings_with(tmp_path, f"SECRETS_RECIPIENTS = [{secret!r}]")
    assert secret[20:] not in str(error.value)


def test_an_ssh_key_with_a_passphrase_is_told_as_such(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", tmp_path / "key"], check=True)
    found = secrets.of(settings_with(tmp_path, "SECRETS_RECIPIENTS = ['key.pub']\nSECRETS_IDENTITY = 'key'\n"))
    with pytest.raises(SettingsError, match="can't be used") as error:
        found.password("cache")
    assert "passphrase" in str(error.value)


def test_values_from_the_environment_and_from_a_command_are_kept_nowhere(tmp_path, monkeypatch) -> None:
    command = [sys.executable, "-c", "print('from a command')"]
    sources = {"api": {"environment": "AN_API_KEY"}, "mail": {"command": command}}
    found = secrets.of(settings_with(tmp_path, f"SECRETS = {sources!r}"))
    with pytest.raises(SettingsError, match="AN_API_KEY is not set"):
        found.password("api")
    monkeypatch.setenv("AN_API_KEY", "from the environment")
    assert found.password("api") == "from the environment"
    assert found.given("mail", "a test") == "from a command"
    assert not state(tmp_path)["plain"].exists()
    with pytest.raises(UsageError, match="not kept here"):
        found.set("api", "other")


@pytest.mark.parametrize(
    ("program", "told"),
    [("import sys; sys.exit('locked')", "locked"), ("", "prints nothing")],
)
def test_a_command_that_tells_no_value(tmp_path: Path, program: str, told: str) -> None:
    found = secrets.of(
        settings_with(tmp_path, f"SECRETS = {{'api': {{'command': {[sys.executable, '-c', program]!r}}}}}")
    )
    with pytest.raises(SettingsError) as error:
        found.password("api")
    assert told in str(error.value)


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    found = secrets.of(settings_with(tmp_path, "SECRETS = {'api': {'command': ['/no/such/program']}}"))
    with pytest.raises(SettingsError, match="can't be run"):
        found.password("api")


def test_a_secret_that_nobody_set(tmp_path: Path) -> None:
    found = secrets.of(settings_with(tmp_path))
    with pytest.raises(SettingsError, match="no secret 'api'") as error:
        found.given("api", "SITES['blog']['environment']['KEY']")
    assert "fab secrets.set api" in str(error.value)


def test_another_value_has_another_hash(tmp_path: Path) -> None:
    found = Secrets(tmp_path / "secrets.json")
    before = found.password_hash("deploy-password")
    assert found.password_hash("deploy-password") == before
    found.set("deploy-password", "another")
    assert found.password_hash("deploy-password") != before


def test_two_logins_take_turns(tmp_path: Path) -> None:
    found, name = Secrets(tmp_path / "secrets.json"), "database-blog"
    first = found.password(name)
    assert found.logins(name, "blog") == {"blog": first}
    found.begin(name, "second")
    found.begin(name, "another")  # one that waits stays
    assert (found.login(name, "blog"), found.logins(name, "blog")) == ("blog", {"blog": first, "blog-b": "second"})
    found.take_turns(name)
    assert found.login(name, "blog") == "blog-b"
    assert found.logins(name, "blog") == {"blog-b": "second", "blog": first}
    found.finish(name)
    assert found.logins(name, "blog") == {"blog-b": "second", "blog": None}
    found.begin(name, "third")
    found.take_turns(name)
    found.finish(name)
    assert (found.login(name, "blog"), found.logins(name, "blog")) == ("blog", {"blog": "third", "blog-b": None})
    assert sorted(found.every()) == ["third"]
