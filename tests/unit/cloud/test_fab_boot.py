"""The tasks as they are typed: what boot shows and asks, and what a listing tells."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cloud.fake_openstack import KEY, make_settings

ROOT = Path(__file__).parents[3]
MARKS = {"deploymachine_deployment": "guestbook", "deploymachine_type": "appnode", "deploymachine_hostkey": KEY}


@pytest.fixture
def site(tmp_path, openstack, sshd):
    make_settings(tmp_path, openstack)
    place = tmp_path / "site"
    (place / "settings.py").write_text(
        f"""
DEPLOYMENT = "guestbook"
OPENSTACK_CLOUD = "here"
OPENSTACK_SERVERS = {{"appnode": [("appnode1", "m1.small")], "dbserver": [("dbserver1", "ram >= 4096")]}}
OPENSTACK_BAKED_IMAGES = False
ADMIN_SSH_KEYS = [{KEY!r}]
SSH_PORT = {sshd}
"""
    )
    for name in ("fabfile.py", "fabric.yaml", "kokki-config.yaml.dist"):
        (place / name.removesuffix(".dist")).write_text((ROOT / name).read_text())
    return place


@pytest.fixture
def fab(site):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "DEPLOYMACHINE"))}
    environment = {**kept, "HOME": str(site), "COLUMNS": "200"}

    def run(*words, answer=None):
        line = [Path(sys.executable).parent / "fab", *words]
        options = {"cwd": site, "env": environment, "text": True, "check": False, "timeout": 60}
        if answer is None:
            done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, **options)
        else:
            ours, theirs = pty.openpty()
            os.write(ours, f"{answer}\n".encode())
            done = subprocess.run(line, stdin=theirs, capture_output=True, **options)
            os.close(ours)
            os.close(theirs)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


def test_a_row_for_each_server_and_a_list_of_them(fab, openstack):
    code, out, _ = fab("openstack_bootem")
    assert code == 0
    for name in ("appnode1", "dbserver1"):
        phases = re.findall(rf"^{name}: (\S+)", out, re.MULTILINE)
        assert phases[:3] == ["BUILD", "ACTIVE", "cloud-init"]
        assert phases[-1] == "ok:"
    assert "2 servers, 2 changes" in out
    code, out, _ = fab("openstack_bootem")
    assert (code, "2 servers, 0 changes" in out) == (0, True)
    openstack.servers[next(iter(openstack.servers))]["created"] = openstack.now(3 * 3600)
    code, out, _ = fab("openstack_list")
    title, first, _ = out.splitlines()
    assert title.split() == ["name", "type", "state", "private", "public", "flavor", "image", "age"]
    assert re.fullmatch(r"appnode1 +appnode +ACTIVE +127\.77\.0\.\d+ +m1.small +debian-13 +(3 h|0 s|\d s) *", first)
    code, out, _ = fab("openstack_list", "--json")
    told = {one["name"]: one for one in json.loads(out)}
    assert told["dbserver1"]["flavor"] == "m1.medium"
    assert told["dbserver1"]["age"] >= 0
    assert set(told["appnode1"]) == {
        *("name", "type", "state", "private_ip", "public_ip", "flavor", "image", "created", "age", "id"),
        *("memory_mb", "cpus", "user", "port"),
    }


BROKEN = {"addresses": {}, "fault": {"code": 500, "message": "No valid host was found."}}


@pytest.mark.parametrize("answer", [None, "", "n", "no"])
def test_what_is_broken_stays_unless_somebody_agrees(fab, openstack, answer):
    broken = openstack.add_server("appnode1", MARKS, "ERROR", **BROKEN)
    code, out, err = fab("openstack_boot", "appnode1", answer=answer)
    assert code == 1
    assert "error: appnode1 ended in ERROR" in err
    assert "No valid host was found." in err
    assert "--yes" in err
    assert ("Delete it and make it anew? [y/N]" in out) is (answer is not None)
    assert list(openstack.servers) == [broken["id"]]


@pytest.mark.parametrize(("words", "answer"), [((), "y"), ((), "yes"), (("--yes",), None)])
def test_what_is_broken_is_made_anew_where_somebody_agrees(fab, openstack, words, answer):
    broken = openstack.add_server("appnode1", MARKS, "ERROR", **BROKEN)
    code, out, err = fab("openstack_boot", "appnode1", *words, answer=answer)
    assert code == 0, err
    [now] = openstack.servers.values()
    assert (now["status"], now["id"] == broken["id"]) == ("ACTIVE", False)
    assert "appnode1: making anew" in out


def test_all_that_can_be_said_of_a_new_one(fab, openstack):
    openstack.services["block-storage"] = "/volume/v3"
    openstack.zones = [("north", True), ("south", True)]
    openstack.networks.append({**openstack.networks[0], "id": "storage-id", "name": "storage"})
    words = ["--type", "appnode", "--flavor", "vcpus >= 2", "--image", "ubuntu-*", "--volume", "30"]
    words += ["--network", "private,storage", "--zone", "south", "--count", "2"]
    code, _, err = fab("openstack_boot", "web1", *words)
    assert code == 0, err
    made = {one["name"]: one for one in openstack.servers.values()}
    assert set(made) == {"web1", "web2"}
    for one in made.values():
        assert one["metadata"]["deploymachine_type"] == "appnode"
        assert one["metadata"]["deploymachine_image"] == "ubuntu-24.04"
        assert one["flavor_name"] == "m1.medium"
        assert one["asked"]["availability_zone"] == "south"
        assert one["asked"]["networks"] == [{"uuid": openstack.networks[0]["id"]}, {"uuid": "storage-id"}]
        assert one["asked"]["block_device_mapping_v2"][0]["volume_size"] == 30


def test_warnings_come_after_the_report(fab, openstack):
    openstack.add_server("appnode1", {"deploymachine_deployment": "shop"})
    code, _, err = fab("openstack_boot", "appnode1")
    assert code == 0
    assert err.startswith("warning: the project has another server 'appnode1', of the deployment shop")
