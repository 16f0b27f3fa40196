"""What tests do with a machine: make the keys it shall have, wait for it, log in, run a command."""

from __future__ import annotations

import base64
import json
import socket
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import openstack
import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from openstack.connection import Connection

from deploymachine.devcloud.layout import Layout

PATIENCE = 30  # seconds


def connect(directory: Path, cloud: str = "devcloud") -> Connection:
    """The unmodified SDK, with that directory's clouds.yaml."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"openstack\.")  # what the SDK deprecates within itself
        config = openstack.config.OpenStackConfig(config_files=[str(directory / "clouds.yaml")])
        return Connection(config=config.get_one(cloud=cloud))


@dataclass(frozen=True)
class Devcloud:
    """directory: holds clouds.yaml. cloud: the name in it. state: where DEPLOYMACHINE_DEVCLOUD_DIR points."""

    directory: Path
    cloud: str
    state: Path
    layout: Layout

    def connect(self) -> Connection:
        """The unmodified SDK, as any client would use it."""
        return connect(self.directory, self.cloud)


def let_in(connection: Connection) -> None:
    """Open the project's default group for SSH and ping, as whoever gets a new project does first of all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the SDK deprecates within itself, wherever it is called from
        group = next(iter(connection.network.security_groups(name="default")))
        for protocol, port in (("tcp", 22), ("icmp", None)):
            wanted = {"protocol": protocol, "port_range_min": port, "port_range_max": port}
            connection.network.create_security_group_rule(security_group_id=group.id, direction="ingress", **wanted)


def until(answer: Callable[[], object], seconds: float = PATIENCE) -> object:
    """The first true answer, as soon as there is one."""
    deadline = time.monotonic() + seconds
    while True:
        found = answer()
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


class Login:
    """Keys made here: the user's, and the host key that user-data hands to the machine."""

    def __init__(self) -> None:
        self.user = paramiko.RSAKey.generate(2048)
        self.private, self.public = _ed25519()

    @property
    def user_line(self) -> str:
        return f"{self.user.get_name()} {self.user.get_base64()} test"

    def user_data(self) -> str:
        keys = {"ed25519_private": self.private, "ed25519_public": self.public}
        config = {"disable_root": False, "ssh_authorized_keys": [self.user_line], "ssh_deletekeys": True}
        return "#cloud-config\n" + json.dumps({**config, "ssh_keys": keys})

    def connect(self, address: str) -> paramiko.SSHClient:
        """Only with exactly the host key that was handed over."""
        until(lambda: greets(address))
        client = paramiko.SSHClient()
        kind, key = self.public.split()[:2]
        client.get_host_keys().add(address, kind, paramiko.PKey.from_type_string(kind, base64.b64decode(key)))
        client.connect(address, username="root", pkey=self.user, allow_agent=False, look_for_keys=False, timeout=20)
        return client


def _ed25519() -> tuple[str, str]:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), public.decode()


def greets(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), 1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def sh(client: paramiko.SSHClient, command: str) -> str:
    _, stdout, stderr = client.exec_command(command, timeout=120)
    out, err = stdout.read().decode(), stderr.read().decode()
    assert stdout.channel.recv_exit_status() == 0, f"{command}: {err}"
    return out
