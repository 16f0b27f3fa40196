"""A deployment's directory, and folders of Python 2 cookbooks as people bring them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

SETTINGS = 'DEPLOYMENT = "mysite"\nOPENSTACK_SERVERS = {}\nADMIN_SSH_KEYS = ["key.pub"]\n'


@pytest.fixture
def deployment(tmp_path: Path) -> Path:
    folder = tmp_path / "deployment"
    folder.mkdir()
    (folder / "settings.py").write_text(SETTINGS)
    (folder / "kokki-config.yaml").write_text("cookbook_paths: []\nroles: {}\n")
    return folder


@pytest.fixture
def old(tmp_path: Path) -> Callable[..., Path]:
    """old("nginx", **{"recipes/default.py": text}) -> the folder that holds the cookbooks written so far."""

    def write(name: str, **files: str) -> Path:
        for path, text in {"metadata.py": "", **files}.items():
            target = tmp_path / "old" / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(textwrap.dedent(text))
        return tmp_path / "old"

    return write
