"""A kitchen in a temporary directory: cookbooks written by the test, a system root of its own, fake tools on PATH."""

from __future__ import annotations

import os
import stat
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kokki import secrets
from kokki.runner import cook
from kokki.system import System


@dataclass
class Cooked:
    code: int
    events: list = field(default_factory=list)

    def of(self, kind: str) -> list:
        return [event for event in self.events if event["event"] == kind]

    @property
    def done(self) -> dict:
        """`Type[name]` -> its last resource-done event."""
        return {f"{event['type']}[{event['name']}]": event for event in self.of("resource-done")}

    @property
    def states(self) -> list:
        return [event["state"] for event in self.of("resource-done")]

    @property
    def failure(self) -> dict:
        (event,) = self.of("failure")
        return event

    @property
    def totals(self) -> dict:
        return {state: number for state, number in self.events[-1]["totals"].items() if number}


class World:
    """tmp_path as a server: root/ holds its /etc and /var, books/ its cookbooks, out/ is for the resources."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = path / "root"
        self.out = path / "out"
        self.bin = path / "bin"
        self.books = path / "books"
        for folder in (self.out, self.bin, self.books, self.root / "etc", self.root / "usr/sbin", self.root / "run"):
            folder.mkdir(parents=True)

    def book(self, name: str, **files: str) -> Path:
        """Write a cookbook; recipes by keyword: default="…"; other files by path in `files`."""
        folder = self.books / name
        (folder / "recipes").mkdir(parents=True, exist_ok=True)
        files.setdefault("metadata", "")
        for key, text in files.items():
            self.file(name, "metadata.py" if key == "metadata" else f"recipes/{key}.py", text)
        return folder

    def file(self, book: str, path: str, text: str) -> Path:
        target = self.books / book / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(text))
        return target

    def cook(self, *recipes: str, dry_run: bool = False, **request: Any) -> Cooked:
        cooked = Cooked(0)
        given = {"recipes": recipes or ["app"], "cookbook_paths": [str(self.books)], "dry_run": dry_run, "host": "h1"}
        cooked.code = cook({**given, **request}, cooked.events.append)
        return cooked

    def recipe(self, text: str, *, dry_run: bool = False, **request: Any) -> Cooked:
        """Cook one recipe, which finds `from kokki import *` and OUT at its head (line 1)."""
        head = f"from kokki import *; OUT = {str(self.out)!r}\n"
        self.book("app")
        (self.books / "app/recipes/default.py").write_text(head + textwrap.dedent(text))
        for stale in self.books.glob("app/recipes/__pycache__/*"):
            stale.unlink()  # written within the same second as the last one
        return self.cook(dry_run=dry_run, **request)

    def tool(self, name: str, script: str) -> None:
        """A fake command that notes its argv, one call a line, in `log`; its script knows $HERE (path) and $ROOT."""
        path = self.bin / name
        # Written out, because the engine passes no variables on: an empty $ROOT would be this machine's own /.
        head = f'#!/bin/sh\nset -u\nHERE={self.path}; ROOT={self.root}\nprintf "%s\\n" "{name} $*" >> {self.log}\n'
        path.write_text(head + textwrap.dedent(script))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    @property
    def log(self) -> Path:
        return self.path / "calls"

    def calls(self, *names: str) -> list:
        """The calls of fake commands so far (only of those named); forgets them."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.write_text("")
        return [line for line in lines if not names or line.split()[0] in names]

    def etc(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(text))
        return target


# What must never be this machine's own in a test, whoever runs it: a test that needs one of them brings a fake.
DANGEROUS = [
    *[
        "apt-get",
        "apt-cache",
        "dpkg",
        "dnf",
        "rpm",
        "systemctl",
        "journalctl",
        "mount",
        "umount",
        "sysctl",
        "crontab",
        "locale",
    ],
    *["useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "gpasswd", "chpasswd", "chgpasswd"],
]


@pytest.fixture(scope="session")
def shield(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shield")
    for name in DANGEROUS:
        (folder / name).write_text(f"#!/bin/sh\necho this test has no fake {name}\nexit 99\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def world(tmp_path, monkeypatch, shield):
    made = World(tmp_path)
    monkeypatch.setenv("KOKKI_ROOT", str(made.root))
    monkeypatch.setenv("PATH", f"{made.bin}:{shield}:{os.environ['PATH']}")
    monkeypatch.setattr(System, "_instance", None)
    made.etc("etc/passwd", f"me:x:{os.getuid()}:{os.getgid()}:Me:/home/me:/bin/sh\n")
    made.etc("etc/group", f"mine:x:{os.getgid()}:\n")
    secrets.forget()
    yield made
    secrets.forget()
