"""Servers that no OpenStack of ours made: SERVERS names them, and everything but booting and killing works."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet import Fleet
from machine_world import Login, greets, until

pytestmark = [pytest.mark.devcloud, pytest.mark.filterwarnings("ignore:::openstack")]

REPOSITORY = Path(__file__).parents[2]
SETTINGS = """
DEPLOYMENT = "fixed"
SERVERS = {{"dbserver": [{{"name": "old1", "ip": "{address}"}}]}}
ADMIN_SSH_KEYS = ["~/.ssh/id_ed25519.pub"]
DATABASES = {{"shop": {{"owner": "shop"}}}}
APT_PROXY = "controller"
PIP_INDEX_URL = "controller"
EXTRA_CA_CERTIFICATES = ["/usr/local/share/ca-certificates/*.crt"]
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    place = tmp_path_factory.mktemp("fixed")
    made = Fleet(place / "site", place / "home")
    made.directory.mkdir()
    (made.home / ".ssh").mkdir(parents=True, mode=0o700)
    made.command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(made.home / ".ssh" / "id_ed25519"))
    for name in ("fabfile.py", "fabric.yaml", "kokki-config.yaml.dist"):
        shutil.copy(REPOSITORY / name, made.directory / name.removesuffix(".dist"))
    return made


@pytest.fixture(scope="module")
def fixed(devcloud: Any, fleet: Fleet) -> Iterator[Fleet]:
    """With a machine that is just there: booted by somebody, with our key for root, logged into once by hand."""
    login = Login()
    mine = (fleet.home / ".ssh" / "id_ed25519.pub").read_text().strip()
    with devcloud.connect() as cloud:
        group = cloud.network.create_security_group(name="fixed")
        for port in (22, 2222, 5432):
            rule = {"direction": "ingress", "protocol": "tcp", "port_range_min": port, "port_range_max": port}
            cloud.network.create_security_group_rule(security_group_id=group.id, **rule)
        wanted = {
            "image": "debian-13",
            "flavor": "m1.small",
            "network": "private",
            "userdata": login.user_data().replace(login.user_line, mine),
        }
        server = cloud.create_server("old1", wait=True, auto_ip=False, security_groups=[group.id], **wanted)
        address = server.private_v4
        assert until(lambda: greets(address))
        (fleet.home / ".ssh" / "known_hosts").write_text(f"{address} {login.public}\n")
        (fleet.directory / "settings.py").write_text(SETTINGS.format(address=address))
        yield fleet
        cloud.delete_server(server.id, wait=True)
        cloud.network.delete_security_group(group.id)


def test_it_is_listed_and_asks_no_cloud(fixed: Fleet) -> None:
    assert "old1" in fixed.fab("openstack_list")
    assert not (fixed.directory / "clouds.yaml").exists()


def test_it_is_provisioned_launched_and_then_as_wanted(fixed: Fleet) -> None:
    fixed.fab("root", "provision")
    assert "already provisioned" in fixed.fab("root", "provision")
    fixed.fab("dbserver", "launch")
    assert "1 server, 0 changes" in fixed.fab("everything", "kokki")
    assert "old1: old1" in fixed.fab("server:old1", "system.run", "--command", "hostname")


@pytest.mark.parametrize("task", ["openstack_boot", "openstack_kill"])
def test_it_is_neither_booted_nor_killed(fixed: Fleet, task: str) -> None:
    told = fixed.refused(task, "old1")
    assert "old1 is on no OpenStack" in told
    assert "SERVERS in settings.py names it" in told
