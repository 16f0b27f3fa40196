"""`fab split`, `merge`, `move` on the command line: what is said wrongly is told in one message and changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from change_world import SETTINGS
from invoke.tasks import Task

from deploymachine.tasks import split as tasks

FAB = Path(sys.executable).parent / "fab"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    """One server that is on no OpenStack."""
    for name in ("fabfile.py", "fabric.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    fixed = 'SERVERS = {"dbappbalancer": [{"name": "box1", "ip": "127.0.0.9"}]}\n'
    (tmp_path / "settings.py").write_text(SETTINGS.format(servers="") + fixed)
    return tmp_path


def refused(directory: Path, *words: str) -> str:
    environment = {**os.environ, "HOME": str(directory), "COLUMNS": "200"}
    done = subprocess.run([FAB, *words], cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error: ") == 1
    assert not (directory / ".deploymachine" / "split.json").exists()
    return done.stderr


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("split", "A split is of one server"),
        ("split dbappbalancer --plan", "Which server is to be the dbserver?"),
        ("split box1 --plan --names dbserver=db9", "db9 is not a dbserver in SERVERS"),
        ("split appnode", "There is no appnode"),
        ("split dbappbalancer --names dbserver", "--names dbserver can't be read"),
        ("split --resume --abort", "one at a time"),
        ("split dbappbalancer --finish", "one at a time"),
        ("split --abort", "Nothing is under way"),
        ("merge dbappbalancer", "A merge is of two servers or more"),
        ("move dbappbalancer", "Which server is it to move to?"),
        ("move --to box2", "A move is of one server"),
        ("everything move --to box2", "box1 can't be moved"),
        ("move --finish", "Nothing is under way"),
    ],
)
def test_what_is_said_wrongly_is_told(deployed: Path, line: str, told: str) -> None:
    assert told in refused(deployed, *line.split())


@pytest.mark.parametrize("task", [tasks.split, tasks.merge, tasks.move], ids=lambda task: task.name)
def test_no_letter_finishes_one_and_says_something_else_to_the_next(task: Task[Any]) -> None:
    assert [name for one in task.get_arguments() for name in one.names if len(name) == 1] == []
