"""What `deploymachine init` leaves behind is a deployment that deploymachine can read."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploymachine import cli, settings

NAMES = {"settings.py", "kokki-config.yaml", "fabfile.py", "fabric.yaml", "fab_local.example.py", ".gitignore"}


def test_init_makes_a_deployment_and_says_what_comes_next(tmp_path, capsys):
    assert cli.main(["init", str(tmp_path / "Shop_2 (old)")]) == 0
    site = tmp_path / "Shop_2 (old)"
    assert {path.name for path in site.iterdir()} == NAMES
    read = settings.load(site)
    assert read.DEPLOYMENT == "shop-2-old"
    assert read.OPENSTACK_CLOUD is None
    ignored = (site / ".gitignore").read_text().splitlines()[1:]
    assert ignored == [".deploymachine/", "clouds.yaml", "secure.yaml", "*.dump"]
    assert "fab openstack_bootem" in capsys.readouterr().out


def test_init_for_devcloud(tmp_path, capsys):
    assert cli.main(["init", "--devcloud", str(tmp_path / "mysite")]) == 0
    read = settings.load(tmp_path / "mysite")
    assert (read.DEPLOYMENT, read.OPENSTACK_CLOUD) == ("mysite", "devcloud")
    assert read.PIP_INDEX_URL == read.APT_PROXY == "controller"
    assert read.SSH_USER_KNOWN_HOSTS == "~/.ssh/known_hosts"
    assert "fab devcloud_up" in capsys.readouterr().out


def test_only_the_named_settings_differ_from_the_packaged_file(tmp_path):
    cli.init(tmp_path / "mysite", devcloud=True)
    packaged = (Path(cli.__file__).parent / "skeleton" / "settings.py.dist").read_text().splitlines()
    made = (tmp_path / "mysite" / "settings.py").read_text().splitlines()
    different = [new.split(" = ")[0] for old, new in zip(packaged, made, strict=True) if old != new]
    assert sorted(different) == sorted(cli.DEVCLOUD)


def test_init_overwrites_nothing(tmp_path, capsys):
    (tmp_path / "settings.py").write_text("mine")
    (tmp_path / "fabric.yaml").write_text("mine")
    assert cli.main(["init", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: settings.py, fabric.yaml are there already\n")
    assert {path.name for path in tmp_path.iterdir()} == {"settings.py", "fabric.yaml"}


def test_init_where_no_directory_can_be(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["init", str(tmp_path / "file")]) == 1
    assert cli.main(["init", str(tmp_path / "file" / "below")]) == 1
    assert capsys.readouterr().err.count("error: ") == 2


@pytest.mark.parametrize(
    ("directory", "name"),
    [("my.site", "my-site"), ("2026-shop", "shop"), ("…", "mysite"), ("a" * 40, "a" * 24), ("x" * 23 + "-y", "x" * 23)],
)
def test_deployment_name(directory, name):
    assert cli.deployment_name(directory) == name


@pytest.mark.parametrize(("name", "value"), [("A", "new"), ("B", ["x", "y"]), ("C", "new")])
def test_with_value_replaces_a_value_of_any_length(name, value):
    text = '# comment\nA = None  # gone with the value\nB = [\n    "old",\n]\n\nC = {"A": 1}\n'
    before, after = {}, {}
    exec(text, {}, before)  # noqa: S102 - what Python itself reads is what counts
    changed = cli.with_value(text, name, value)
    exec(changed, {}, after)  # noqa: S102
    assert after == {**before, name: value}
    assert changed.startswith("# comment\n")


def test_the_installed_command_answers_version_and_help():
    command = Path(sys.executable).parent / "deploymachine"
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("deploymachine ")
    usage = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    assert "init" in usage
