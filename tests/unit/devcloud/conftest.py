"""devcloud's real HTTP services on a loopback port, spoken to by the real SDK; only the machines are made up."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
import warnings
from pathlib import Path

import openstack
import pytest
from openstack.connection import Connection
from werkzeug.serving import make_server

from deploymachine.devcloud import cloudsyaml
from deploymachine.devcloud.api import create_app, open_cloud
from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.process import Process
from deploymachine.errors import DevcloudError


class FakeMachines:
    """The wall's other side: remembers what was asked of it. broken: what the next boot fails with."""

    def __init__(self) -> None:
        self.booted = {}
        self.living = set()
        self.floating = []
        self.gateways = []
        self.wiring = None
        self.links = {}
        self.snapshots = set()
        self.volumes = {}
        self.plugged = {}
        self.broken = None
        self.gate = threading.Event()
        self.gate.set()

    def boot(self, machine):
        self.gate.wait(10)
        self._may_fail()
        self.booted[machine.id] = machine
        process = Process(1000 + len(self.booted), machine.plug.number)
        self.living.add(process)
        return process

    def alive(self, process):
        return process in self.living

    def power_off(self, machine, process):
        self.gate.wait(10)
        self.living.discard(process)

    def kill(self, number, process):
        self.living.discard(process)

    def destroy(self, server_id, number, process):
        self.gate.wait(10)
        self.living.discard(process)
        self.booted.pop(server_id, None)

    def erase(self, server_id):
        self.booted.pop(server_id, None)

    def layers(self, name, snapshot=None):
        return [f"snapshot {snapshot}" if snapshot else name]

    def save(self, server_id, number, snapshot):
        self.gate.wait(10)
        self._may_fail()
        self.snapshots.add(snapshot)
        return 5 << 20

    def forget(self, snapshot):
        self.snapshots.discard(snapshot)

    def make_volume(self, volume, size_gb, layers, source=None):
        self.gate.wait(10)
        self._may_fail()
        self.volumes[volume] = (size_gb, layers, source)

    def extend_volume(self, volume, size_gb):
        self.volumes[volume] = (size_gb, *self.volumes[volume][1:])

    def delete_volume(self, volume):
        self.volumes.pop(volume, None)

    def attach(self, machine, process, volume, device):
        self._may_fail()
        self.plugged[volume] = (machine.id, device)

    def detach(self, machine, process, volume, device):
        self._may_fail()
        self.plugged.pop(volume, None)

    def release_volume(self, volume):
        self.plugged.pop(volume, None)

    def _may_fail(self):
        if self.broken is not None:
            raise DevcloudError(self.broken)

    def console(self, server_id):
        return "one\ntwo\nthree\n"

    def serve(self, wiring):
        self.gateways = list(wiring.gateways)
        self.guard(wiring)

    def guard(self, wiring):
        self.wiring, self.floating = wiring, list(wiring.floating)

    def taken(self):
        return []

    def plug_in(self, machine, plug):
        self.links.setdefault(machine, []).append(plug)

    def pull_out(self, number):
        self.links = {machine: [p for p in plugs if p.number != number] for machine, plugs in self.links.items()}


def unused_port():
    """By chance: other runs of these tests look for theirs as well. The kernel gives connections higher ones."""
    while True:
        port = 20000 + secrets.randbelow(12000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


class Scheduled:
    """Holds servers that wait for a host until `gate` is set, as a busy scheduler does."""

    def __init__(self, work, gate):
        self.work, self.gate = work, gate

    def __getattr__(self, name):
        return getattr(self.work, name)

    def later(self, identity, work, failed):
        def held(identity):
            self.gate.wait(10)
            work(identity)

        return self.work.later(identity, held, failed)


class Service:
    """A devcloud's API in a thread; `restart` is what a new daemon with the same state would be."""

    def __init__(self, home: Path, network: str = "10.9.0.0/24", floating: str = "10.19.0.0/24") -> None:
        self.directory = home
        self.machines = FakeMachines()
        self.scheduled = threading.Event()
        self.scheduled.set()
        self.layout = Layout(home, home / "images", unused_port(), network, floating, "right", "a secret", 1450)
        cloudsyaml.write(home, self.layout)
        self.start()

    def start(self) -> None:
        self.cloud = open_cloud(self.layout, self.machines)
        self.cloud.compute.work = Scheduled(self.cloud.compute.work, self.scheduled)
        self.cloud.compute.resume()
        self.server = make_server("127.0.0.1", self.layout.port, create_app(self.cloud), threaded=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join(10)
        self.server.server_close()

    def close(self) -> None:
        self.machines.gate.set()
        self.scheduled.set()
        self.stop()

    def restart(self) -> None:
        self.stop()
        self.start()

    def connect(self) -> Connection:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"openstack\.")  # what the SDK deprecates within itself
            config = openstack.config.OpenStackConfig(config_files=[str(self.directory / "clouds.yaml")])
            return Connection(config=config.get_one(cloud="devcloud"))


@pytest.fixture(scope="session")
def service_class():
    return Service


@pytest.fixture
def service(tmp_path, monkeypatch):
    monkeypatch.delenv("OS_CLOUD", raising=False)
    service = Service(tmp_path)
    yield service
    service.machines.gate.set()
    service.stop()


@pytest.fixture
def sdk(service):
    with service.connect() as connection:
        yield connection
