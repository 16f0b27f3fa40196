"""The main job, once, on a real control plane: from an empty directory to a page over HTTPS, and away again."""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Iterator

import pytest
from fleet import Fleet, served_by

pytestmark = [pytest.mark.openstack, pytest.mark.filterwarnings("ignore:::openstack")]

MAIN_JOB = (
    "fab openstack_bootem",
    "openstack-compute list",
    "fab root provision",
    "fab dbserver launch",
    "fab loadbalancer launch",
    "fab appnode launch",
)
CHANGES = {
    'OPENSTACK_CLOUD = "devcloud"': 'OPENSTACK_CLOUD = "demo"',
    "OPENSTACK_FLOATING_IP_POOL = None": 'OPENSTACK_FLOATING_IP_POOL = "public"',
    ', ("appnode2", "m1.small")': "",
}


@pytest.fixture(scope="module")
def fleet(control_plane, tmp_path_factory) -> Iterator[Fleet]:
    """Three servers and the guestbook; what each command printed is in `told`."""
    base = tmp_path_factory.mktemp("mainjob")
    (base / "site").mkdir()
    fleet = Fleet(base / "site", base / "home")
    fleet.make()
    shutil.copy(control_plane.clouds, fleet.directory / "clouds.yaml")
    settings = fleet.directory / "settings.py"
    text = settings.read_text()
    for old, new in CHANGES.items():
        assert old in text
        text = text.replace(old, new)
    settings.write_text(text)
    for line in MAIN_JOB:
        fleet.told[line] = fleet.try_command(*line.split())
        assert fleet.told[line].code == 0, f"{line}\n{fleet.told[line].output}"
    yield fleet
    fleet.fab("openstack_sudokillem", "--yes-i-mean-it", "site")
    assert not list(fleet.inventory())


def test_the_site_answers_over_https(fleet: Fleet) -> None:
    answer: http.client.HTTPResponse = fleet.get()
    assert answer.status == 200
    assert served_by(answer) == "appnode1"


def test_the_database_remembers(fleet: Fleet) -> None:
    assert fleet.sign("Grace", "on a real OpenStack").status == 302
    assert "on a real OpenStack" in fleet.get().text  # type: ignore[attr-defined]


def test_a_second_time_nothing_changes(fleet: Fleet) -> None:
    assert "3 servers, 0 changes" in fleet.fab("openstack_bootem")
    assert "3 servers, 0 changes" in fleet.fab("everything", "kokki")


def test_one_more_appnode_boots_from_a_baked_image_and_leaves_again(fleet: Fleet) -> None:
    fleet.fab("openstack_bake", "appnode1")
    assert "appnode" in fleet.fab("openstack_boot", "appnode2")
    for line in ("root provision", "appnode launch", "kokki:loadbalancer"):
        fleet.fab(*line.split())
    assert {served_by(fleet.get()) for _ in range(6)} == {"appnode1", "appnode2"}
    fleet.fab("openstack_kill", "appnode2", "--yes")
    assert {served_by(fleet.get()) for _ in range(4)} == {"appnode1"}


def test_plain_ssh_works_as_printed(fleet: Fleet) -> None:
    for server in fleet.inventory():
        ended = fleet.ssh(server.name, "hostname")
        assert (ended.code, ended.output.strip()) == (0, server.name)
