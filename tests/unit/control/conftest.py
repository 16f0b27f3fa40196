"""A deployment in a temporary directory, and an SSH server on loopback that runs what it is told on this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
import pytest

from deploymachine.hostkeys import HostKeys
from deploymachine.inventory import Inventory, Server
from deploymachine.secrets import Secrets
from deploymachine.servertypes import Deployment
from deploymachine.settings import Settings, load

SETTINGS = """
DEPLOYMENT = "mysite"
OPENSTACK_SERVERS = {
    "loadbalancer": [("loadbalancer1", "m1.small")],
    "appnode": [("appnode1", "m1.small"), ("appnode2", "m1.small")],
    "dbserver": [("dbserver1", "m1.small")],
}
ADMIN_SSH_KEYS = ["id_ed25519.pub"]
SITES = {
    "blog": {
        "repository": "blog",
        "wsgi": "blog.wsgi:application",
        "settings_module": "blog.settings",
        "database": "blog",
    },
}
DATABASES = {"blog": {"owner": "blog"}}
"""
ROLES = Path(__file__).parents[3] / "kokki-config.yaml.dist"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where a deployment's settings lie, with a key pair of its own."""
    (tmp_path / "settings.py").write_text(SETTINGS)
    (tmp_path / "kokki-config.yaml").write_text(ROLES.read_text())
    private = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", private], check=True)
    return tmp_path


@pytest.fixture
def settings(directory: Path) -> Settings:
    return load(directory)


@pytest.fixture
def inventory() -> Inventory:
    return Inventory(
        [
            Server("loadbalancer1", "loadbalancer", "10.0.0.11", "198.51.100.7"),
            Server("appnode1", "appnode", "10.0.0.21"),
            Server("appnode2", "appnode", "10.0.0.22"),
            Server("dbserver1", "dbserver", "10.0.0.31", memory_mb=2048),
        ]
    )


@pytest.fixture
def deployment(settings: Settings, inventory: Inventory) -> Deployment:
    return Deployment(settings, inventory, Secrets(settings.state / "secrets.json"))


@dataclass
class SshServer:
    """A real SSH server on loopback; `commands` are run here, with `path` first on PATH."""

    server: Server
    port: int
    host_key: paramiko.PKey
    environment: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    cut_after: int | None = None  # bytes of output after which the connection is cut

    @property
    def key_line(self) -> str:
        return f"{self.host_key.get_name()} {self.host_key.get_base64()}"


class _Policy(paramiko.ServerInterface):
    def __init__(self, ours: SshServer, allowed: bytes) -> None:
        self.ours, self.allowed = ours, allowed

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if key.asbytes() == self.allowed else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.ours.commands.append(command.decode())
        threading.Thread(target=_carry_out, args=(self.ours, channel, command.decode()), daemon=True).start()
        return True


def _carry_out(ours: SshServer, channel: paramiko.Channel, command: str) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(["/bin/sh", "-c", command], stdin=pipe, stdout=pipe, stderr=pipe, env=ours.environment) as process:
        threads = [
            threading.Thread(target=_feed, args=(channel, process), daemon=True),
            threading.Thread(target=_copy, args=(process.stderr, channel.sendall_stderr), daemon=True),
        ]
        for thread in threads:
            thread.start()
        with contextlib.suppress(OSError, EOFError):
            _answer(ours, channel, process)
            threads[1].join()
            channel.send_exit_status(process.wait())
        process.kill()
        channel.close()
        for thread in threads:
            thread.join()


def _answer(ours: SshServer, channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    sent = 0
    while data := process.stdout.read1(1 << 16):
        channel.sendall(data)
        sent += len(data)
        if ours.cut_after is not None and sent > ours.cut_after:
            channel.get_transport().close()


def _feed(channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        while data := channel.recv(1 << 16):
            process.stdin.write(data)
            process.stdin.flush()
        process.stdin.close()


def _copy(stream, send: Callable[[bytes], None]) -> None:
    with contextlib.suppress(OSError):
        while data := stream.read1(1 << 16):
            send(data)


@pytest.fixture
def ssh_server(directory: Path, settings: Settings, tmp_path: Path) -> Iterator[SshServer]:
    """Its host key is pinned, and the deployment's own key may log in as anybody."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    ours = SshServer(
        Server("appnode1", "appnode", "127.0.0.1"),
        port,
        paramiko.ECDSAKey.generate(),
        {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "DEPLOYMACHINE_HOME": str(tmp_path / "server")},
    )
    (tmp_path / "bin").mkdir()
    HostKeys(settings).pin("appnode1", "127.0.0.1", port, ours.key_line)
    allowed = paramiko.Ed25519Key.from_private_key_file(str(directory / "id_ed25519")).asbytes()
    transports: list[paramiko.Transport] = []
    thread = threading.Thread(target=_serve, args=(listener, ours, allowed, transports), daemon=True)
    thread.start()
    yield ours
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
    for transport in transports:
        transport.close()


def _serve(listener: socket.socket, ours: SshServer, allowed: bytes, transports: list[paramiko.Transport]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        transport = paramiko.Transport(connection)
        transport.add_server_key(ours.host_key)
        transports.append(transport)
        try:
            transport.start_server(server=_Policy(ours, allowed))
        except (paramiko.SSHException, EOFError):
            transport.close()


@pytest.fixture(autouse=True)
def _no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.delenv("DEPLOYMACHINE_SETTINGS", raising=False)
