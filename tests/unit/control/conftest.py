"""A deployment in a temporary directory, and an SSH server on loopback that runs what it is told on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from ssh_server import SshServer, serve

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
    thread = threading.Thread(target=serve, args=(listener, ours, allowed, transports), daemon=True)
    thread.start()
    yield ours
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
    for transport in transports:
        transport.close()


@pytest.fixture(autouse=True)
def _no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.delenv("DEPLOYMACHINE_SETTINGS", raising=False)
