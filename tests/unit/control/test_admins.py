"""Where runs were asked for from: found through sudo, kept one a line, the latest last."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import admins
import pytest

TARGET = Path(admins.__file__).parent


def run(home: Path, connection: str, *, through: tuple[str, ...] = ()) -> list[str]:
    """Remember in a process of its own; `through` stands between it and who came in, as sudo does."""
    code = f"import sys; sys.path.insert(0, {str(TARGET)!r}); import admins; admins.remember()"
    environment = {**os.environ, "SSH_CONNECTION": connection, "DEPLOYMACHINE_HOME": str(home)}
    subprocess.run([*through, sys.executable, "-I", "-c", code], env=environment, check=True)
    path = home / "admins"
    return path.read_text().splitlines() if path.exists() else []


def test_each_address_stands_there_once_the_latest_last(tmp_path: Path) -> None:
    for address in ("10.0.0.1", "fd00::2", "10.0.0.1", "10.0.0.1"):
        found = run(tmp_path, f"{address} 50000 10.0.0.9 2222")
    assert found == ["fd00::2", "10.0.0.1"]


def test_it_is_found_where_the_environment_was_taken_away(tmp_path: Path) -> None:
    kept = f"DEPLOYMACHINE_HOME={tmp_path}"
    cleaned = ("sh", "-c", f'env -i {kept} "$@"; true', "sh")
    assert run(tmp_path, "10.0.0.1 50000 10.0.0.9 2222", through=cleaned) == ["10.0.0.1"]


def test_who_did_not_come_in_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admins, "HOME", str(tmp_path))
    monkeypatch.setattr(admins, "_environment", lambda process: {})
    admins.remember()
    assert not (tmp_path / "admins").exists()
