"""An appnode becomes an image while it serves; the next one boots from that, with nothing of the first one on it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from collections.abc import Iterator

import pytest
from fleet import Ended, Fleet
from load import load
from test_scaling import certificate

pytestmark = pytest.mark.devcloud
LINES = ("root provision", "appnode launch", "kokki:loadbalancer")


@pytest.fixture(scope="module")
def baked(fleet: Fleet) -> Iterator[Fleet]:
    """Baked of appnode1 under traffic; appnode2 then boots from that, and is bare for a while."""
    with load(fleet.server("loadbalancer1").address, certificate(fleet), visitors=2) as visitors:
        visitors.goes_on(20)
        fleet.told["bake"] = Ended(0, fleet.fab("openstack_bake", "appnode1"))
        visitors.goes_on(20)
        fleet.told["kill"] = Ended(0, fleet.fab("openstack_kill", "appnode2", "--yes"))
        fleet.told["boot"] = Ended(0, fleet.fab("openstack_boot", "appnode2"))
    assert visitors.failures == []
    yield fleet
    fleet.unfinished = True
    for image in images(fleet):
        openstack(fleet, "image", "delete", image["ID"])


def openstack(fleet: Fleet, *words: str) -> str:
    return fleet.command("openstack", "--os-cloud", "devcloud", *words)


def images(fleet: Fleet) -> list[dict[str, str]]:
    """Those of the deployment."""
    every = json.loads(openstack(fleet, "image", "list", "-f", "json"))
    return [image for image in every if image["Name"].startswith("deploymachine-")]


def as_root(fleet: Fleet, command: str) -> str:
    """A shell line on the bare appnode2; what it printed."""
    ended = fleet.ssh("appnode2", command, user="root", port=22)
    assert ended.code == 0, ended.output
    return ended.output.strip()


def test_one_image_with_its_marks_is_left_and_nothing_else(baked: Fleet) -> None:
    [image] = images(baked)
    assert image["Name"] in baked.told["bake"].output
    shown = json.loads(openstack(baked, "image", "show", "-f", "json", image["ID"]))["properties"]
    marks = {"deploymachine_type": "appnode", "deploymachine_bake": "ready", "deploymachine_baked_from": "appnode1"}
    assert marks.items() <= shown.items()
    assert re.fullmatch("[0-9a-f]{64}", shown["deploymachine_fingerprint"])
    assert "bake-of" not in openstack(baked, "server", "list", "-f", "value", "-c", "Name")
    assert "Nothing of the deployment" in baked.fab("openstack_leaks")


def test_the_next_one_boots_from_it_and_says_so(baked: Fleet) -> None:
    [image] = images(baked)
    assert f"appnode: booting from the baked image {image['Name']}" in baked.told["boot"].output
    assert baked.server("appnode2").image == image["Name"]


def test_nothing_of_the_first_one_is_on_it(baked: Fleet) -> None:
    secrets = json.loads((baked.directory / ".deploymachine/secrets.json").read_text())
    for name, value in secrets.items():
        line = max(value.splitlines(), key=len)
        found = as_root(
            baked, f"grep -rlF {shlex.quote(line)} /etc /root /home /srv /var /opt /tmp 2>/dev/null || true"
        )
        assert found == "", name
    identity = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub"
    ours = as_root(baked, identity).splitlines()
    assert set(ours).isdisjoint(baked.sudo("appnode1", identity).splitlines())
    assert as_root(baked, "hostname") == "appnode2"
    assert as_root(baked, "grep -c appnode1 /etc/hosts /etc/hostname || true") == "/etc/hosts:0\n/etc/hostname:0"
    admitted = as_root(baked, "grep -hEo 'ssh-[^ ]+ [^ ]+' $(find / -xdev -name authorized_keys) | sort -u")
    assert admitted.split() == (baked.home / ".ssh/id_ed25519.pub").read_text().split()[:2]
    gone = "/srv/sites/*/shared/env /srv/sites/*/current /srv/sites/*/shared/media/* /etc/deploymachine/*"
    assert as_root(baked, f"ls -d {gone} 2>/dev/null || true") == ""
    assert as_root(baked, "grep -c ^deploy: /etc/passwd /etc/shadow /etc/shadow- 2>/dev/null || true").count(":0") >= 2
    assert "appnode1" not in as_root(baked, "cat /var/log/*.log /var/log/supervisor/* 2>/dev/null || true")


def test_what_takes_long_is_there_already(baked: Fleet) -> None:
    assert as_root(baked, "ls /srv/sites/guestbook/venvs /srv/sites/guestbook/releases") != ""
    assert "ok installed" in as_root(baked, "dpkg-query -W -f '${Status}' supervisor")


def test_it_serves_after_the_usual_three_lines(baked: Fleet) -> None:
    for line in LINES:
        baked.fab(*line.split())
    with load(baked.server("loadbalancer1").address, certificate(baked), visitors=2) as visitors:
        visitors.goes_on(60)
    assert visitors.failures == []
    assert set(visitors.by) == {"appnode1", "appnode2"}
    assert " 0 changes" in baked.fab("everything", "kokki").splitlines()[-1]


def test_killed_in_the_middle_it_is_found_and_a_repeat_removes_it(baked: Fleet) -> None:
    [before] = images(baked)
    with baked.start("openstack_bake", "appnode1") as running:
        seen = next((line for line in running.stdout if "appnode1: seal" in line), None)
        os.killpg(running.pid, signal.SIGKILL)
    assert seen is not None
    left = baked.fab("openstack_leaks")
    assert "bake-of-appnode1" in left
    assert "a snapshot of a bake that did not end" in left
    baked.fab("openstack_bake", "appnode1")
    [after] = images(baked)
    assert after["ID"] != before["ID"]
    assert "Nothing of the deployment" in baked.fab("openstack_leaks")
    assert "bake-of" not in (baked.directory / ".deploymachine/known_hosts").read_text()


def test_other_cookbooks_make_it_stale(baked: Fleet) -> None:
    assert "booting from" not in baked.fab("openstack_boot", "appnode2")  # it is there
    baked.fab("openstack_kill", "appnode2", "--yes")
    with baked.edited("kokki-config.yaml", "recipes: [supervisor, ", "recipes: [python, supervisor, "):
        told = baked.fab("openstack_boot", "appnode2")
    assert "baked of other cookbooks or another image" in told
    assert baked.server("appnode2").image == "debian-13"


@pytest.mark.parametrize(
    ("name", "words"), [("dbserver1", "its databases would be in the image"), ("appnod1", "appnode1")]
)
def test_what_can_not_be_baked(baked: Fleet, name: str, words: str) -> None:
    assert words in baked.refused("openstack_bake", name)
