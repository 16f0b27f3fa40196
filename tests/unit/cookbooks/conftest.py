"""Attributes in, a kitchen with every resource that the recipes declare out: nothing is run, no root is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kokki import Kitchen

COOKBOOKS = Path(__file__).parents[3] / "deploymachine" / "target" / "cookbooks"
Declare = Callable[..., Kitchen]


@pytest.fixture
def declare() -> Declare:
    """declare("base.sshd", **{"base.ssh_port": 22}) -> the kitchen, all resources declared."""

    def declared(*recipes: str, library: dict[str, Any] | None = None, **attributes: Any) -> Kitchen:
        kitchen = Kitchen()
        kitchen.add_cookbook_path(str(COOKBOOKS))
        kitchen.update_config(attributes)
        for name, replacement in (library or {}).items():
            book, _, function = name.partition(".")
            kitchen.cookbook(book).library[function]  # read, so that what is put in its place stays
            kitchen.cookbook(book)._library[function] = replacement
        kitchen.include_recipe(*recipes)
        kitchen.declare()
        return kitchen

    return declared


@pytest.fixture
def content() -> Callable[[Kitchen, str], str]:
    """content(kitchen, path) -> the text that the File would hold."""

    def rendered(kitchen: Kitchen, path: str) -> str:
        found = kitchen.resources["File"][path].content
        with kitchen:
            return str(found() if callable(found) else found)

    return rendered


@pytest.fixture
def run() -> Callable[..., str]:
    """run(argv) -> its output; the test fails with it when the command does, and is skipped where there is none."""

    def completed(*argv: object) -> str:
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        command = shutil.which(str(argv[0]), path=path)
        if command is None:
            pytest.skip(f"{argv[0]} is not installed")
        words = [command, *map(str, argv[1:])]
        done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PATH": path})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return completed
