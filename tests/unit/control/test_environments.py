"""`fab staging ...`: a deployment of its own in the same directory; and what fab_local.py puts in the place of ours."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from deploymachine.errors import SettingsError
from deploymachine.hostkeys import HostKeys
from deploymachine.settings import load
from deploymachine.settings_file import choose, environments

FAB = Path(sys.executable).parent / "fab"
FABFILE = Path(__file__).parents[3] / "fabfile.py"
STAGING = """
from settings import *

DEPLOYMENT = "mysite-staging"
PRODUCTION = False
OPENSTACK_SERVERS = {}
SERVERS = {"dbappbalancer": [{"name": "stage1", "ip": "192.0.2.9"}]}
"""


@pytest.fixture
def two(directory: Path) -> Path:
    """The usual deployment, and one for trying things."""
    for name in ("fabfile.py", "fabric.yaml"):
        (directory / name).write_text((FABFILE.parent / name).read_text())
    (directory / "settings_staging.py").write_text(STAGING)
    (directory / "settings_common.py").write_text("COMMON = 1\n")  # nobody's deployment
    return directory


def fab(directory: Path, *words: str, **more: str) -> tuple[int, str]:
    environment = {**os.environ, "HOME": str(directory), "COLUMNS": "200", **more}
    done = subprocess.run(
        [FAB, *words], cwd=directory, env=environment, capture_output=True, text=True, check=False, input=""
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_an_environment_has_settings_state_and_secrets_of_its_own(two: Path) -> None:
    usual = load(two)
    choose("staging")
    try:
        staging = load(two)
    finally:
        choose(None)
    assert (usual.DEPLOYMENT, staging.DEPLOYMENT) == ("mysite", "mysite-staging")
    assert staging.SITES == usual.SITES
    assert (usual.state, staging.state) == (two / ".deploymachine", two / ".deploymachine/staging")
    assert HostKeys(usual).path != HostKeys(staging).path
    assert load(two).DEPLOYMENT == "mysite"
    assert environments(two) == ["staging"]


def test_the_word_in_front_or_the_variable_chooses_it(two: Path) -> None:
    assert "stage1" in fab(two, "staging", "openstack_list")[1]
    assert "stage1" in fab(two, "openstack_list", DEPLOYMACHINE_SETTINGS="settings_staging.py")[1]
    listed = fab(two, "staging", "--list")[1]
    assert "server:stage1" in listed
    assert "server:appnode1" not in listed
    assert "staging" in fab(two, "--list")[1]
    assert "common" not in fab(two, "--list")[1]


def test_each_makes_its_own_secrets(two: Path) -> None:
    for words, there in (((), ".deploymachine"), (("staging",), ".deploymachine/staging")):
        done = subprocess.run(
            [FAB, *words, "secrets.set", "mail-password"],
            cwd=two,
            input=f"of {there}\n",
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert f"of {there}" not in done.stdout
        assert fab(two, *words, "secrets.get", "mail-password") == (0, f"of {there}\n")
        assert f"of {there}" in (two / there / "secrets.json").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("openstack_list", "staging"), "staging is not the first word"),
        (("stagign", "openstack_list"), "did you mean 'staging'"),
    ],
)
def test_a_word_that_chooses_nothing(two: Path, words: tuple[str, ...], told: str) -> None:
    (two / "settings.py").write_text((two / "settings.py").read_text() + "OPENSTACK_SERVERS = {}\n"
        'SERVERS = {"appnode": [{"name": "old1", "ip": "192.0.2.1"}]}\n')  # fmt: skip
    code, output = fab(two, *words)
    assert code == 1
    assert told in output


def test_word_and_variable_that_contradict_each_other(two: Path) -> None:
    code, output = fab(two, "staging", "openstack_list", DEPLOYMACHINE_SETTINGS="settings_other.py")
    assert code == 1
    assert "DEPLOYMACHINE_SETTINGS says settings_other.py" in output


def test_two_with_one_name_would_share_their_servers(two: Path) -> None:
    (two / "settings_staging.py").write_text(STAGING.replace("mysite-staging", "mysite"))
    with pytest.raises(SettingsError, match="have the same DEPLOYMENT, 'mysite'"):
        load(two)


def test_an_environment_that_is_called_as_a_task_is(two: Path) -> None:
    (two / "settings_status.py").write_text(STAGING.replace("mysite-staging", "another"))
    code, output = fab(two, "status")
    assert code == 1
    assert "could mean two things" in output


def test_production_asks_and_others_do_not(two: Path) -> None:
    (two / "fab_local.py").write_text(
        "from deploymachine.tasks import task\n"
        "from deploymachine.tasks._prompt import agreed\n\n"
        "@task()\ndef destroy(_):\n    print('done' if agreed('Destroy?', False) else 'left')\n"
    )
    code, output = fab(two, "destroy")
    assert code == 1
    assert "--yes" in output
    assert fab(two, "staging", "destroy") == (0, "done\n")
    staging = (two / "settings_staging.py").read_text()
    (two / "settings_staging.py").write_text(staging.replace("PRODUCTION = False", "PRODUCTION = True"))
    code, output = fab(two, "staging", "destroy")
    assert code == 1
    assert "staging: Destroy?" in output


OWN = '''
from invoke.tasks import task
from invoke.collection import Collection

@task(name="system.uptime")
def mine(_):
    """How long, as I want it told."""
    print("mine")

@task
def logs(_):
    """My logs."""
    print("my logs")

@task(name="shop.orders")
def orders(_):
    """How many orders there are."""
    print("orders")

@task
def refund(_):
    print("refund")

namespace = Collection("shop", refund)
'''


def test_own_tasks_take_the_place_of_dotted_ones_and_of_whole_namespaces_defaults(two: Path) -> None:
    (two / "fab_local.py").write_text(OWN)
    assert fab(two, "system.uptime") == (0, "mine\n")
    assert fab(two, "logs") == (0, "my logs\n")
    assert fab(two, "shop.orders", "shop.refund") == (0, "orders\nrefund\n")
    listed = fab(two, "--list")[1]
    assert "How long, as I want it told." in listed
    assert "system.run" in listed


def at_terminal(directory: Path, *words: str, **more: str) -> tuple[int, str]:
    """A `fab` line with a terminal for its own; what stood there."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(directory)
        os.execve(  # noqa: S606 - the point is that it gets the terminal
            FAB, [str(FAB), *words], {**os.environ, "HOME": str(directory), "COLUMNS": "200", **more}
        )
    said = b""
    try:
        while data := os.read(terminal, 4096):
            said += data
    except OSError:  # the terminal is gone with its last process
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode().replace("\r\n", "\n")


def test_secrets_in_an_editor(two: Path, tmp_path: Path) -> None:
    fab(two, "secrets.set", "mail-password", "--from-environment", "VALUE", VALUE="before")
    editor = tmp_path / "editor.py"
    for old, new, code, told in (
        ("before", "after", 0, "Changed: mail-password"),
        ("nothing", "else", 0, "Nothing was changed"),
        ("{", "[", 1, "is not JSON: nothing was changed"),
        ('"after"', "7", 1, "not names with texts"),
        ('"mail-password"', '"Mail Password"', 1, "can't be a secret's name"),
    ):
        editor.write_text(
            "import sys\nfrom pathlib import Path\np = Path(sys.argv[1])\n"
            f"p.write_text(p.read_text().replace({old!r}, {new!r}))\n"
        )
        found = at_terminal(two, "secrets.edit", EDITOR=f"{sys.executable} {editor}", VISUAL="")
        assert found[0] == code, found
        assert told in found[1]
    assert fab(two, "secrets.get", "mail-password") == (0, "after\n")
    code, output = fab(two, "secrets.edit")
    assert code == 1
    assert "An editor needs a terminal" in output


def test_secrets_are_listed_without_their_values(two: Path) -> None:
    with (two / "settings.py").open("a") as settings:
        settings.write('SITES["blog"]["environment"] = {"MAIL": {"secret": "mail-password"}}\n')
        settings.write('SECRETS = {"api-key": {"command": ["pass", "show", "api"]}}\n')
    fab(two, "secrets.set", "other", "--from-command", "printf %s hidden")
    code, output = fab(two, "secrets.list")
    assert code == 0
    assert "hidden" not in output
    lines = {line.split()[0]: line for line in output.splitlines()}
    assert "MAIL of blog" in lines["mail-password"]
    assert "nowhere yet" in lines["mail-password"]
    assert "command: pass" in lines["api-key"]
    assert "nothing in settings.py" in lines["other"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("secrets.get", "nothing"), "There is no secret 'nothing'"),
        (("secrets.set", "database-blog"), "is not set, it is rotated"),
        (("secrets.set", "Mail Password"), "can't be a secret's name"),
        (("secrets.set", "mail"), "There is no value for mail"),
        (("secrets.set", "mail", "--from-command", "'"), "is no command"),
        (("secrets.set", "mail", "--from-environment", "NOT_THERE"), "NOT_THERE is not set"),
    ],
)
def test_what_can_not_be_meant(two: Path, words: tuple[str, ...], told: str) -> None:
    code, output = fab(two, *words)
    assert code == 1
    assert told in output
    assert not (two / ".deploymachine/secrets.json").exists()
