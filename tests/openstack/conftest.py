"""A real control plane for the whole session, up only when `make test-openstack` asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

sys.path.append(
    str(Path(__file__).parents[1] / "devcloud")
)  # fleet and leftovers: the same deployment, the same traces

import control_plane as plane
import devcloud_hypervisor
import place as places
import seed
from leftovers import leftovers
from openstack.connection import Connection
from place import Place

from deploymachine.cloud import Cloud, connect
from deploymachine.devcloud import layout
from deploymachine.settings import Settings, load

SETTINGS = """
DEPLOYMENT = "realtest"
OPENSTACK_CLOUD = "demo"
OPENSTACK_NETWORK = "private"
OPENSTACK_FLOATING_IP_POOL = "public"
OPENSTACK_SERVERS = {"appnode": [("appnode1", "m1.small")], "dbserver": [("dbserver1", "m1.small")]}
ADMIN_SSH_KEYS = ["id_ed25519.pub"]
"""
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


@pytest.fixture(scope="module")
def settings(control_plane, tmp_path_factory) -> Settings:
    """A deployment of two servers with floating addresses in project demo."""
    site = tmp_path_factory.mktemp("site")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", site / "id_ed25519"], check=True)
    (site / "settings.py").write_text(SETTINGS)
    (site / "clouds.yaml").write_text(control_plane.clouds.read_text())
    return load(site)


@pytest.fixture(scope="module")
def cloud(settings) -> Iterator[Cloud]:
    """That deployment in its cloud; what it booted is gone afterwards."""
    cloud = connect(settings)
    yield cloud
    if names := [server.name for server in cloud.servers()]:
        cloud.delete(names)
    cloud.close()


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


@pytest.fixture(scope="session")
def quota(sdk) -> Callable[..., AbstractContextManager[None]]:
    """`with quota(instances=1)`: what project demo may use, for a while."""

    @contextmanager
    def changed(**limits: int) -> Iterator[None]:
        admin, before = sdk("admin"), sdk("admin").get_compute_quotas("demo")
        admin.set_compute_quotas("demo", **limits)
        try:
            yield
        finally:
            admin.set_compute_quotas("demo", **{name: getattr(before, name) for name in limits})

    return changed


@pytest.fixture(scope="session")
def hypervisor(control_plane) -> devcloud_hypervisor.Hypervisor:
    """The machines behind the servers."""
    return devcloud_hypervisor.opened(control_plane.hypervisor)
