"""A deployment as its user has it: a directory, `fab` on the command line, four servers, a site."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploymachine.inventory import Inventory, Server

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit code and what stood on the terminal."""

    code: int
    output: str


@dataclass
class Fleet:
    """directory: where settings.py lies. home: the user's, with SSH key and known_hosts. front: whom visitors ask.

    unfinished: appnodes are bare or missing; who takes it next brings them back, if anybody does.
    """

    directory: Path
    home: Path
    told: dict[str, Ended] = field(default_factory=dict)
    front: str = "loadbalancer1"
    unfinished: bool = False

    @property
    def environment(self) -> dict[str, str]:
        quiet = {"SSH_AUTH_SOCK", "DEPLOYMACHINE_SETTINGS", "DEPLOYMACHINE_OUTPUT", "OS_CLOUD"}
        kept = {name: value for name, value in os.environ.items() if name not in quiet}
        return {**kept, "HOME": str(self.home), "PATH": f"{BIN}:{os.environ['PATH']}"}

    def make(self) -> None:
        """From an empty directory to settings, a site's repository and an SSH key."""
        self.home.mkdir()
        (self.home / ".ssh").mkdir(mode=0o700)
        self.command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.home / ".ssh" / "id_ed25519"))
        self.command("deploymachine", "init", "--devcloud", ".")
        shutil.copytree(REPOSITORY / "examples" / "guestbook", self.site)
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit("The guestbook")

    @property
    def site(self) -> Path:
        return self.directory / "guestbook"

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    def git(self, *words: str) -> str:
        who = ["-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
        return self.command("git", "-C", str(self.site), *who, *words)

    def command(self, *argv: str) -> str:
        """Run a command that has to succeed; what it printed."""
        ended = self.try_command(*argv)
        assert ended.code == 0, f"{' '.join(argv)}\n{ended.output}"
        return ended.output

    def try_command(self, *argv: str, **environment: str) -> Ended:
        done = subprocess.run(
            argv,
            cwd=self.directory,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1500,
            check=False,
        )
        assert "Traceback (most recent call last)" not in done.stdout, done.stdout
        return Ended(done.returncode, done.stdout)

    def fab(self, *words: str) -> str:
        """A `fab` line that has to succeed; what it printed."""
        return self.command("fab", *words)

    def refused(self, *words: str) -> str:
        """A `fab` line that has to end with exit code 1 and one message; that message."""
        ended = self.try_command("fab", *words)
        assert ended.code == 1, ended.output
        assert len(re.findall("^error: ", ended.output, re.MULTILINE)) == 1, ended.output
        return ended.output[re.search("^error: ", ended.output, re.MULTILINE).start() :]  # type: ignore[union-attr]

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A `fab` line that goes on in the background, in a process group of its own as a terminal would have it."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            ["fab", *words],
            cwd=self.directory,
            env={**self.environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def inventory(self) -> Inventory:
        """The servers, as `fab` itself sees them."""
        from deploymachine.cloud import connect
        from deploymachine.settings import load

        cloud = connect(load(self.directory))
        try:
            return cloud.servers()
        finally:
            cloud.close()

    def server(self, name: str) -> Server:
        return self.inventory().named(name)

    def ssh_line(self, name: str, *command: str, user: str = "deploy", port: int = 2222) -> list[str]:
        """Plain ssh, as printed by the demo: no prompt, no option that weakens it."""
        files = ["-o", f"UserKnownHostsFile={self.home}/.ssh/known_hosts", "-i", f"{self.home}/.ssh/id_ed25519"]
        target = ["-p", str(port), f"{user}@{self.server(name).address}"]
        return ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", *files, *target, *command]

    def ssh(self, name: str, *command: str, user: str = "deploy", port: int = 2222) -> Ended:
        return self.try_command(*self.ssh_line(name, *command, user=user, port=port))

    def sudo(self, name: str, command: str, given: str = "") -> str:
        """A shell line as root on a server, with `given` on its stdin; what it printed. It has to succeed."""
        password = self.secret("deploy-password")
        done = subprocess.run(
            self.ssh_line(name, f"sudo -k -S -p '' sh -c {shlex.quote(command)}"),
            input=password + "\n" + given,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def secret(self, name: str) -> str:
        return str(json.loads((self.directory / ".deploymachine" / "secrets.json").read_text())[name])

    def add_settings(self, text: str) -> None:
        path = self.directory / "settings.py"
        path.write_text(path.read_text() + text)

    @contextmanager
    def edited(self, name: str, old: str, new: str) -> Iterator[None]:
        """A file of the deployment with `old` replaced by `new`, for a while."""
        path = self.directory / name
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new))
        try:
            yield
        finally:
            path.write_text(before)

    def get(self, path: str = "/", **headers: str) -> http.client.HTTPResponse:
        """Fetch over HTTPS through the loadbalancer; its certificate is checked."""
        return self.request("GET", path, headers=headers)

    def request(
        self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        trust = ssl.create_default_context(cafile=str(self.directory / ".deploymachine/certificates/guestbook.pem"))
        address = self.server(self.front).address
        connection = http.client.HTTPSConnection(address, timeout=20, context=trust)
        try:
            connection.request(method, path, body.encode() or None, headers or {})
            answer = connection.getresponse()
            answer.text = answer.read().decode()  # type: ignore[attr-defined]
            return answer
        finally:
            connection.close()

    def sign(self, name: str, message: str) -> http.client.HTTPResponse:
        """Write into the guestbook, as the form does."""
        from urllib.parse import urlencode

        form = self.get()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text)[1]  # type: ignore[attr-defined, index]
        cookie = form.headers["Set-Cookie"].split(";")[0]
        origin = f"https://{self.server(self.front).address}"
        headers = {"Cookie": cookie, "Referer": origin + "/", "Content-Type": "application/x-www-form-urlencoded"}
        return self.request(
            "POST", "/", urlencode({"csrfmiddlewaretoken": token, "name": name, "message": message}), headers
        )


@contextmanager
def own_deployment(clouds: Path, home: Path, front: str, settings: str, lines: Iterable[str]) -> Iterator[Fleet]:
    """A deployment beside others of the cloud that clouds.yaml names, made in home by these `fab` lines; what each
    printed is in `told`. It is gone in the end. settings: further lines of settings.py.

    Its servers boot from an image that has what every server gets installed (PACKAGES in conftest.py).
    """
    directory = home / f"guestbook-{home.name}"
    directory.mkdir(parents=True)
    shutil.copy(clouds, directory)
    fleet = Fleet(directory, home / "home", front=front)
    fleet.make()
    fleet.add_settings('OPENSTACK_IMAGE = "prepared"\n' + settings)
    try:
        for line in lines:
            fleet.told[line] = fleet.try_command("fab", *line.split())
            assert fleet.told[line].code == 0, f"{line}\n{fleet.told[line].output}"
        yield fleet
    finally:
        fleet.try_command("fab", "openstack_sudokillem", "--yes-i-mean-it", directory.name)


def served_by(answer: http.client.HTTPResponse) -> str:
    """Which appnode made this page."""
    return str(re.search(r'id="server">([^<]+)<', answer.text)[1])  # type: ignore[attr-defined, index]
