"""The command line: which tasks there are, and how mistakes in one's own are told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploymachine.hostkeys import HostKeys
from deploymachine.settings import Settings

FAB = Path(sys.executable).parent / "fab"
FABFILE = Path(__file__).parents[3] / "fabfile.py"


@pytest.fixture
def deployed(directory: Path) -> Path:
    for name in ("fabfile.py", "fabric.yaml"):
        (directory / name).write_text((FABFILE.parent / name).read_text())
    return directory


def fab(directory: Path, *words: str) -> tuple[int, str]:
    environment = {**os.environ, "HOME": str(directory), "COLUMNS": "200"}
    done = subprocess.run([FAB, *words], cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_every_type_and_server_is_a_task(deployed: Path, settings: Settings) -> None:
    HostKeys(settings).pin("appnode9", "192.0.2.9", 2222, "ssh-ed25519 AAAA")
    code, output = fab(deployed, "--list")
    listed = {line.split()[0] for line in output.splitlines() if line.startswith("  ") and line.split()}
    assert code == 0
    assert {"root", "everything", "appnode", "kokki:loadbalancer", "server:dbserver1", "server:appnode9"} <= listed
    assert {"provision", "launch", "kokki", "ssh", "openstack_bootem", "devcloud_up", "system.run"} <= listed


def test_the_list_is_there_without_settings(deployed: Path) -> None:
    (deployed / "settings.py").unlink()
    code, output = fab(deployed, "--list")
    assert code == 0
    assert "openstack_bootem" in output
    code, output = fab(deployed, "appnode", "launch")
    assert code == 1
    assert "There is no settings.py here" in output


def test_own_tasks_are_listed_and_replace_ours(deployed: Path) -> None:
    own = 'from invoke.tasks import task\n\n@task\ndef provision(c):\n    """Mine."""\n    print("mine")\n'
    (deployed / "fab_local.py").write_text(own)
    assert "Mine." in fab(deployed, "--list")[1]
    assert fab(deployed, "provision") == (0, "mine\n")


def test_a_mistake_in_own_tasks_is_told_with_its_line(deployed: Path) -> None:
    (deployed / "fab_local.py").write_text("import os\nos.nonsense()\n")
    code, output = fab(deployed, "--list")
    assert code == 1
    assert "fab_local.py raised while it was read" in output
    assert "fab_local.py:2" in output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("openstack_boot", "appnode2", "--count", "many"), "--count takes a number, not 'many'"),
        (("openstack_boot", "appnode2", "--count", "0"), "--count 0 can't be done"),
        (("openstack_boot", "web", "--count", "2"), "'web' can't be counted on from"),
        (("openstack_boot", "appnode2", "--volume=-1"), "--volume -1 can't be done"),
        (("openstack_boot", "App2"), "'App2' can't be a server's name"),
        (("openstack_boot", "old1"), "old1 is on no OpenStack"),
        (("openstack_boot", "apnode2"), "no server type 'apnode'; did you mean 'appnode'"),
    ],
)
def test_a_boot_that_can_not_be_meant(deployed: Path, words: tuple[str, ...], told: str) -> None:
    with (deployed / "settings.py").open("a") as settings:
        settings.write("SERVERS = {'appnode': [{'name': 'old1', 'ip': '192.0.2.1'}]}\n")
    code, output = fab(deployed, *words)
    assert code == 1
    assert f"error: {told}" in output or told in output


def test_nothing_to_boot(deployed: Path) -> None:
    with (deployed / "settings.py").open("a") as settings:
        settings.write("OPENSTACK_SERVERS = {}\nSERVERS = {'appnode': [{'name': 'old1', 'ip': '192.0.2.1'}]}\n")
    assert fab(deployed, "openstack_bootem") == (
        0,
        "OPENSTACK_SERVERS in settings.py names no server: there is nothing to boot.\n",
    )
    code, output = fab(deployed, "openstack_list")
    assert code == 0
    assert "old1" in output


def test_an_unknown_output_format(deployed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOYMACHINE_OUTPUT", "xml")
    old = "SERVERS = {'appnode': [{'name': 'old1', 'ip': '192.0.2.1'}]}\n"
    text = (deployed / "settings.py").read_text()
    (deployed / "settings.py").write_text(text + "OPENSTACK_SERVERS = {}\n" + old)
    code, output = fab(deployed, "appnode", "kokki")
    assert code == 1
    assert "unknown format 'xml'" in output


def test_a_table_in_a_pipe_cuts_nothing_off(capsys: pytest.CaptureFixture[str]) -> None:
    from deploymachine.tasks._table import print_table, written_age

    row = (
        "loadbalancer-in-the-north1",
        "loadbalancer",
        "SHELVED_OFFLOADED",
        "10.87.0.111",
        "203.0.113.110",
        "m1.small",
    )
    print_table(("name", "type", "state", "private", "public", "flavor"), [row])
    assert capsys.readouterr().out.splitlines()[1].split() == list(row)
    ages = (None, 0, 59, 60, 3_599, 3_600, 86_399, 86_400, 10**7)
    assert [written_age(age) for age in ages] == ["", "0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 d", "115 d"]


def test_a_reader_who_has_seen_enough_is_no_fault(deployed: Path) -> None:
    own = (
        "from deploymachine.tasks import task\n\n@task()\ndef tell(c):\n    '''Much.'''\n    print('word ' * 100_000)\n"
    )
    (deployed / "fab_local.py").write_text(own)
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, "HOME": str(deployed)}
    done = subprocess.run(
        [FAB, "tell"], cwd=deployed, env=environment, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
