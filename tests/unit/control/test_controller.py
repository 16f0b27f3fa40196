"""What servers inherit from the machine that is typed on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from deploymachine import controller

INHERITS = SimpleNamespace(PIP_INDEX_URL="controller")
ASKED = ("python3", "-m", "pip", "config", "get", "global.index-url")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, ...]]:
    """The commands that were run, each answered with an index; pip has no configuration but the home's."""
    commands: list[tuple[str, ...]] = []

    def answer(*command: str) -> str:
        commands.append(command)
        return "https://index.example/simple"

    monkeypatch.setattr(controller, "_output", answer)
    monkeypatch.setattr(controller, "SYSTEM_WIDE", tmp_path / "etc")
    for name, value in {"HOME": tmp_path, "XDG_CONFIG_HOME": tmp_path / "config", "XDG_CONFIG_DIRS": tmp_path}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("PIP_CONFIG_FILE", raising=False)
    monkeypatch.setattr(controller.shutil, "which", lambda _name: str(tmp_path / "bin" / "python3"))
    return commands


@pytest.mark.parametrize("place", ["config/pip/pip.conf", ".pip/pip.conf", "pip.conf", "etc/pip.conf", "named"])
def test_pip_is_asked_where_a_file_of_its_names_an_index(
    asked: list[tuple[str, ...]], tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "named"))
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[global]\nindex-url = https://index.example/simple\n")
    assert controller.pip_index_url(INHERITS) == "https://index.example/simple"
    assert asked == [ASKED]


def test_pip_is_not_asked_where_none_does(asked: list[tuple[str, ...]], tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nextra-index-url = https://other.example/simple\n")
    assert controller.pip_index_url(INHERITS) is None
    assert asked == []
