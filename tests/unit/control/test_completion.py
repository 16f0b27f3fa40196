"""The tab key: what bash is told, by bash itself; and what zsh and fish would be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
FABFILE = Path(__file__).parents[3] / "fabfile.py"
# A completion as bash does it: the line, the cursor at its end, the function that `complete` names.
PRESS = """
source <(fab completion bash)
COMP_LINE=$1 COMP_POINT=${#1}
read -ra COMP_WORDS <<< "$1"
_deploymachine_fab
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def deployed(directory: Path) -> Path:
    for name in ("fabfile.py", "fabric.yaml"):
        (directory / name).write_text((FABFILE.parent / name).read_text())
    (directory / "settings_staging.py").write_text(
        'from settings import *\nDEPLOYMENT = "staging"\nSITES = {"shop": {}}\n'
        'OPENSTACK_SERVERS = {"appnode": [("stage1", "m1.small")]}\n'
    )
    return directory


def run(directory: Path, *argv: str) -> list[str]:
    environment = {**os.environ, "HOME": str(directory), "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(argv, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("fab openstack_boote", ["openstack_bootem"]),
        ("fab server:appnode", ["appnode1", "appnode2"]),  # what is before the colon stands there already
        ("fab appnode supervisor.restart --site ", ["blog"]),
        ("fab stag", ["staging"]),
        ("fab staging appnode supervisor.restart --site ", ["shop"]),
        ("fab openstack_boot app", ["appnode1", "appnode2", "appnode", "appbalancer"]),
        ("fab completion f", ["fish"]),
        ("fab secrets.rotate database-blog --pat", ["--patience"]),
    ],
)
def test_bash_offers(deployed: Path, line: str, offered: list[str]) -> None:
    found = run(deployed, "bash", "-c", PRESS, "bash", line)
    assert set(offered) <= set(found)
    assert len(found) == len(offered) or line.endswith(" app")


def test_nothing_is_offered_where_any_text_may_stand(deployed: Path) -> None:
    assert run(deployed, "fab", "--complete", "--", "fab everything system.run --command ") == []


def test_it_works_without_settings(deployed: Path) -> None:
    (deployed / "settings.py").unlink()
    assert "provision" in run(deployed, "fab", "--complete", "--", "fab prov")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_of_that_shells(deployed: Path, tmp_path: Path, shell: str) -> None:
    script = "\n".join(run(deployed, "fab", "completion", shell))
    assert "fab --complete -- " in script
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        run(deployed, shell, "-n", str(tmp_path / "script"))
