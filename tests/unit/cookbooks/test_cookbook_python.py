"""Virtualenv and PipPackage with the real venv and pip, offline: a wheel made here."""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

import pytest
from kokki import Fail, Kitchen

COOKBOOKS = Path(__file__).parents[3] / "deploymachine" / "target" / "cookbooks"


def wheel(folder: Path, version: str) -> None:
    info = f"greet_er-{version}.dist-info"
    files = {
        "greet_er.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: Greet.er\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    with zipfile.ZipFile(folder / f"greet_er-{version}-py3-none-any.whl", "w") as made:
        for name, text in files.items():
            made.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            rows.append(f"{name},sha256={digest},{len(text)}")
        made.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,", ""]))


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    folder = tmp_path / "wheels"
    folder.mkdir()
    for version in ("1.0", "2.0"):
        wheel(folder, version)
    (tmp_path / "pip.conf").write_text(f"[global]\nno-index = true\nfind-links = {folder}\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home/.config/pip").mkdir(parents=True)
    (tmp_path / "pip.conf").rename(tmp_path / "home/.config/pip/pip.conf")
    return folder


def run(declare, dry_run=False):
    kitchen = Kitchen(dry_run=dry_run)
    kitchen.update_config({"kokki.backup.path": None})
    kitchen.add_cookbook_path(str(COOKBOOKS))
    done = []
    kitchen.runner.listener = lambda event: done.append(event) if event["event"] == "resource-done" else None
    with kitchen:
        declare(kitchen.cookbook("python"))
        kitchen.run()
    return [(event["state"], event["changes"]) for event in done]


def test_an_environment_and_what_is_in_it(tmp_path, wheels):
    path = str(tmp_path / "venv")

    def one(version):
        def declare(python):
            python.Virtualenv(path, python=sys.executable)
            python.PipPackage("Greet-er", version=version, virtualenv=path)

        return declare

    assert run(one("1.0"), dry_run=True) == [("would-change", ["created"]), ("would-change", ["installed 1.0"])]
    assert run(one("1.0")) == [("changed", ["created"]), ("changed", ["installed 1.0"])]
    assert run(one("1.0")) == [("ok", []), ("ok", [])]
    assert run(one(None)) == [("ok", []), ("ok", [])]
    assert run(one("2.0"))[1] == ("changed", ["version 1.0 -> 2.0"])
    assert run(lambda python: python.PipPackage("greet_er", virtualenv=path, action="remove")) == [
        ("changed", ["removed 2.0"])
    ]
    with pytest.raises(Fail, match=r"PipPackage\[none\] failed"):
        run(lambda python: python.PipPackage("none", virtualenv=path))
    assert run(lambda python: python.Virtualenv(path, action="delete")) == [("changed", ["deleted"])]
    assert not Path(path).exists()


def test_the_recipe_brings_what_it_needs(declare):
    assert [str(resource) for resource in declare("python").resource_list] == ["Package[python3-venv]"]
