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


def test_an_unknown_output_format(deployed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOYMACHINE_OUTPUT", "xml")
    old = "SERVERS = {'appnode': [{'name': 'old1', 'ip': '192.0.2.1'}]}\n"
    text = (deployed / "settings.py").read_text()
    (deployed / "settings.py").write_text(text + "OPENSTACK_SERVERS = {}\n" + old)
    code, output = fab(deployed, "appnode", "kokki")
    assert code == 1
    assert "unknown format 'xml'" in output
