"""A real control plane for the whole session, up only when `make test-openstack` asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.append(
    str(Path(__file__).parents[1] / "devcloud")
)  # fleet and leftovers: the same deployment, the same traces

import control_plane as plane
import devcloud_hypervisor
import place as places
import seed
from leftovers import leftovers, processes
from openstack.connection import Connection
from place import Place

from deploymachine.cloud import Cloud, connect
from deploymachine.devcloud import layout
from deploymachine.hostkeys import HostKeys
from deploymachine.inventory import Server
from deploymachine.settings import Settings

SETTINGS: dict[str, Any] = {
    "DEPLOYMENT": "realtest",
    "OPENSTACK_CLOUD": "demo",
    "OPENSTACK_NETWORK": "private",
    "OPENSTACK_FLOATING_IP_POOL": "public",
    "OPENSTACK_SERVERS": {"appnode": [("appnode1", "m1.small")], "dbserver": [("dbserver1", "m1.small")]},
    "OPENSTACK_BOOT_TIMEOUT": 240,
    "ADMIN_SSH_KEYS": ["id_ed25519.pub"],
}
ASKED = "DEPLOYMACHINE_OPENSTACK"  # set: bring it up, and down in the end; "keep": leave it up


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Place]:
    """Everything up; in the end nothing of it is left on this machine."""
    if not os.environ.get(ASKED):
        pytest.skip("the control plane is brought up by `make test-openstack`")
    here = places.place()
    plane.up(here)
    yield here
    if os.environ[ASKED] != "keep":
        machines = layout.load(here.hypervisor)
        plane.down(here)
        assert machines is not None
        assert leftovers(machines) == []
        assert not here.run.exists()
        assert [line for line in processes() if str(here.directory) in line] == []


@pytest.fixture(scope="module")
def site(control_plane, tmp_path_factory) -> Path:
    """The directory of a deployment."""
    site: Path = tmp_path_factory.mktemp("site")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", site / "id_ed25519"], check=True)
    (site / "clouds.yaml").write_text(control_plane.clouds.read_text())
    (site / "settings.py").write_text("".join(f"{name} = {value!r}\n" for name, value in SETTINGS.items()))
    return site


@pytest.fixture(scope="module")
def settings(site) -> Settings:
    """Of two servers with floating addresses in project demo."""
    return Settings(directory=site, **SETTINGS)


@pytest.fixture(scope="module")
def changed(site, cloud) -> Callable[..., Cloud]:
    """The same deployment with some settings changed."""
    return lambda **changes: Cloud(Settings(directory=site, **{**SETTINGS, **changes}), cloud.connection)


@pytest.fixture(scope="module")
def cloud(settings) -> Iterator[Cloud]:
    """That deployment in its cloud; what it booted is gone afterwards."""
    cloud = connect(settings)
    yield cloud
    if names := [server.name for server in cloud.servers()]:
        cloud.delete(names)
    cloud.close()


@pytest.fixture
def owned(cloud) -> Callable[[], list[str]]:
    """What the project has that costs money or that only we need."""

    def everything() -> list[str]:
        network, compute = cloud.connection.network, cloud.connection.compute
        ports = [one for one in network.ports() if not one.device_owner.startswith("network:")]
        return [
            *(f"server {one.name}" for one in compute.servers()),
            *(f"server group {one.name}" for one in compute.server_groups()),
            *(f"port {one.id}" for one in ports),
            *(f"address {one.floating_ip_address}" for one in network.ips()),
            *(f"security group {one.name}" for one in network.security_groups() if one.name != "default"),
        ]

    return everything


@pytest.fixture
def ssh(settings) -> Callable[..., str]:
    """What a command that root runs on a server prints; only its known host key is taken."""

    def run(server: Server, *command: str) -> str:
        options = {
            "UserKnownHostsFile": HostKeys(settings).path,
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "IdentityFile": settings.directory / "id_ed25519",
            "ConnectTimeout": 10,
        }
        flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        argv = ["ssh", "-F", "none", *flags, f"root@{server.address}", *command]
        done = subprocess.run(argv, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def sdk(control_plane) -> Iterator[Callable[[str], Connection]]:
    """The unmodified SDK by the name of a cloud: demo, demo-2019, demo-credential, other, admin."""
    opened: dict[str, Connection] = {}

    def connection(name: str) -> Connection:
        if name not in opened:
            opened[name] = seed.connect(control_plane, name)
        return opened[name]

    yield connection
    for each in opened.values():
        each.close()


Quota = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def quota(sdk) -> Quota:
    """`with quota(instances=1)`: what project demo may use of Nova, for a while."""
    return _quota(sdk("admin").get_compute_quotas, sdk("admin").set_compute_quotas, {})


@pytest.fixture
def network_quota(sdk) -> Quota:
    """The same of Neutron: floatingip, port."""
    names = {"floatingip": "floating_ips", "port": "ports"}
    return _quota(sdk("admin").get_network_quotas, sdk("admin").set_network_quotas, names)


def _quota(read: Callable[[str], Any], write: Callable[..., object], names: dict[str, str]) -> Quota:
    """names: what the SDK calls a limit where it tells it, if not as it is set."""

    @contextmanager
    def changed(**limits: int) -> Iterator[None]:
        before = read("demo")
        write("demo", **limits)
        try:
            yield
        finally:
            write("demo", **{name: getattr(before, names.get(name, name)) for name in limits})

    return changed


@pytest.fixture
def second_network(sdk) -> Iterator[str]:
    """The name of one more network of project demo, to which no router leads."""
    network = sdk("demo").network
    made = network.create_network(name="second")
    network.create_subnet(network_id=made.id, ip_version=4, cidr="172.31.255.0/24", is_dhcp_enabled=False)
    yield "second"
    network.delete_network(made.id)


@pytest.fixture(scope="session")
def hypervisor(control_plane) -> devcloud_hypervisor.Hypervisor:
    """The machines behind the servers."""
    return devcloud_hypervisor.opened(control_plane.hypervisor)
