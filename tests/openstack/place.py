"""The environment goes in; where everything of the control plane is, and which ports it answers on, comes out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
PLUGINS = HERE / "plugins"

DEFAULT_DIRECTORY = "/var/tmp/deploymachine-openstack"  # noqa: S108 - big, and kept over a reboot
FIRST_PORT = 17000
ADDRESS = "127.0.0.1"
PASSWORD = "only-on-loopback"  # of every user: the cloud lives as long as its tests, and answers this machine alone
REGION = "today"
OLD_REGION = "2019"  # the same cloud, where Nova speaks no microversion above 2.79
LISTENERS = ("keystone", "nova", "nova-2019", "placement", "glance", "neutron", "rabbit", "rabbit-peers", "epmd")


@dataclass(frozen=True)
class Place:
    """directory: all state. first_port: the services listen there and above."""

    directory: Path
    first_port: int

    @property
    def cache(self) -> Path:
        """What is slow to make and stays: programs and empty databases."""
        return self.directory / "cache"

    @property
    def run(self) -> Path:
        """What belongs to a running control plane and goes with it."""
        return self.directory / "run"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def venv(self) -> Path:
        return self.cache / "venv"

    @property
    def debian(self) -> Path:
        """The tree that MariaDB and RabbitMQ run in: nothing is installed on this machine itself."""
        return self.cache / "debian"

    @property
    def etc(self) -> Path:
        return self.run / "etc"

    @property
    def hypervisor(self) -> Path:
        return self.run / "hypervisor"

    @property
    def socket(self) -> Path:
        """MariaDB's; it listens on no port."""
        return self.run / "mysql.sock"

    @property
    def clouds(self) -> Path:
        return self.run / "clouds.yaml"

    @property
    def ready(self) -> Path:
        """There when everything is up."""
        return self.run / "ready"

    def port(self, name: str) -> int:
        return self.first_port + LISTENERS.index(name)

    def url(self, name: str, path: str = "") -> str:
        return f"http://{ADDRESS}:{self.port(name)}{path}"

    def bin(self, program: str) -> str:
        """A program of the services' virtualenv."""
        return str(self.venv / "bin" / program)

    def config(self, service: str, file: str) -> str:
        return str(self.etc / service / file)


def place() -> Place:
    directory = Path(os.environ.get("DEPLOYMACHINE_OPENSTACK_DIR", DEFAULT_DIRECTORY)).resolve()
    return Place(directory, int(os.environ.get("DEPLOYMACHINE_OPENSTACK_PORT", FIRST_PORT)))
