"""A server on loopback whose sudo asks for a password, with a site on it that has a release: what contrib works on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from ssh_server import SshServer

from deploymachine.inventory import Inventory, Server
from deploymachine.secrets import Secrets
from deploymachine.servertypes import Deployment
from deploymachine.settings import Settings
from deploymachine.tasks import _selection

# As sudo does: the question on stderr, one line of stdin for an answer, a second try. Then the program, with what the
# site's `run` would be replaced by one of ours.
SUDO = """#!{python}
import os, sys
def answer():
    os.write(2, sys.argv[sys.argv.index("-p") + 1].encode())
    line = b""
    while not line.endswith(b"\\n"):
        byte = os.read(0, 1)
        if not byte:
            return None
        line += byte
    return line[:-1].decode()
open("{home}/users", "a").write(sys.argv[sys.argv.index("-u") + 1] + "\\n")
while (said := answer()) != "{password}":
    if said is None:
        sys.exit("sudo: a password is required")
    os.write(2, b"Sorry, try again.\\n")
words = [word.replace("/srv/sites", "{home}/sites") for word in sys.argv[sys.argv.index("--") + 1:]]
os.execvp(words[0], words)
"""


@dataclass
class SiteWorld:
    """home: where the server's things lie. deployment: one whose only servers is this one, as `appnode1`."""

    home: Path
    deployment: Deployment
    ssh_server: SshServer

    def program(self, name: str, text: str) -> None:
        """A program on the server's PATH, instead of the system's own."""
        path = self.home / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def sudo(self, password: str) -> None:
        self.program("sudo", SUDO.format(python=sys.executable, home=self.home, password=password))

    def runs(self, text: str, site: str = "blog") -> None:
        """What runs commands as the site does."""
        path = self.home / "sites" / site / "shared" / "run"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    @property
    def users(self) -> list[str]:
        """As whom things were run, in turn."""
        return (self.home / "users").read_text().split()


def make(home: Path, ssh_server: SshServer, settings: Settings, patch: pytest.MonkeyPatch) -> SiteWorld:
    server = Server("appnode1", "appnode", "127.0.0.1", user="deploy", port=ssh_server.port)
    deployment = Deployment(settings, Inventory([server]), Secrets(settings.state / "secrets.json"))
    world = SiteWorld(home, deployment, ssh_server)
    world.sudo(deployment.secrets.password("deploy-password"))
    world.runs('#!/bin/sh\nexec "$@"\n')
    here: Callable[[], Deployment] = lambda: deployment  # noqa: E731 (what is replaced is a function)
    for module in ("_site", "_servers"):
        patch.setattr(f"deploymachine.contrib.{module}.deployment", here, raising=False)
    _selection.forget()
    _selection.select("appnode", lambda inventory: inventory.of_type("appnode"))
    return world
