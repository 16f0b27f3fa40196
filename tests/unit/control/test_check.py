"""`fab check`: every mistake is a line with what mends it, and nothing is ever a traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploymachine.check import here, network
from deploymachine.check.doctor import examine
from deploymachine.check.lines import Line, looked
from deploymachine.inventory import Inventory, Server
from deploymachine.settings import load
from deploymachine.split import journal
from deploymachine.split.shapes import Change

FAB = Path(sys.executable).parent / "fab"
FABFILE = Path(__file__).parents[3] / "fabfile.py"
FIXED = "OPENSTACK_SERVERS = {}\nSERVERS = {'dbappbalancer': [{'name': 'all1', 'ip': '127.0.0.1', 'port': 9}]}\n"


@pytest.fixture
def lines(directory: Path):
    """lines("OPENSTACK_SERVERS = {}\\n...") -> area -> the lines of `fab check` with that behind the settings."""

    def examined(more: str = FIXED) -> dict[str, list[Line]]:
        with (directory / "settings.py").open("a") as settings:
            settings.write(more)
        found: dict[str, list[Line]] = {}
        for line in examine(directory):
            found.setdefault(line.area, []).append(line)
        return found

    return examined


def grades(found: dict[str, list[Line]], area: str) -> list[str]:
    return [line.grade for line in found[area]]


def test_what_is_right_is_ok(lines) -> None:
    found = lines()
    for area in ("python", "fabric", "paramiko", "openstacksdk", "settings", "roles", "sites", "your key", "cloud"):
        assert grades(found, area) == ["ok"], found[area]


def test_every_line_that_is_not_ok_says_what_mends_it(lines) -> None:
    every = [line for found in lines().values() for line in found]
    assert [line for line in every if line.grade != "ok" and not line.do] == []


def test_a_mistake_in_the_settings_is_a_line(lines) -> None:
    found = lines("SHH_PORT = 2222\n")
    assert "did you mean 'SSH_PORT'" in found["settings"][0].text
    assert grades(found, "the rest") == ["warn"]
    assert "python" in found


def test_no_settings_at_all(directory: Path) -> None:
    (directory / "settings.py").unlink()
    assert "There is no settings.py here" in "".join(line.text for line in examine(directory))


def test_a_role_that_is_missing_and_a_recipe_that_is_not_there(lines, directory: Path) -> None:
    config = directory / "kokki-config.yaml"
    text = config.read_text()
    config.write_text(text.replace("recipes: [nginx]", "recipes: [nginx.nowhere]"))
    assert "nginx.nowhere" in lines()["recipes"][0].text
    config.write_text(text.replace("  dbappbalancer:", "  dbappbalance:"))
    assert "no role 'dbappbalancer'" in lines("")["roles"][0].text


def test_a_key_that_nobody_holds(lines, directory: Path) -> None:
    (directory / "id_ed25519").unlink()
    found = lines()
    assert grades(found, "your key") == ["fail"]
    assert "ssh-add" in found["your key"][0].do


def test_types_that_can_not_serve_the_site(lines) -> None:
    found = lines("OPENSTACK_SERVERS = {}\nSERVERS = {'appnode': [{'name': 'a1', 'ip': '127.0.0.1', 'port': 9}]}\n")
    assert [line.text for line in found["sites"]] == [
        "no server does the work of a loadbalancer",
        "no server does the work of a dbserver",
    ]


def test_a_cloud_that_is_not_there_is_a_line(lines, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(directory / "none.yaml"))
    monkeypatch.setenv("HOME", str(directory))
    found = lines('OPENSTACK_CLOUD = "devcloud"\n')
    assert "fab devcloud_up" in found["cloud"][0].do


def test_secrets_that_others_may_read(lines, directory: Path) -> None:
    (directory / ".deploymachine").mkdir()
    (directory / ".deploymachine/secrets.json").write_text("{}")
    (directory / ".deploymachine/secrets.json").chmod(0o644)
    assert "chmod 600" in lines()["secrets"][0].do


def test_an_identity_that_others_may_read(lines, directory: Path) -> None:
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    (directory / "identity").write_text(f"{identity}\n")
    (directory / "identity").chmod(0o644)
    with (directory / "settings.py").open("a") as settings:
        settings.write(f"SECRETS_RECIPIENTS = [{str(identity.to_public())!r}]\nSECRETS_IDENTITY = 'identity'\n")
    assert f"chmod 600 {directory / 'identity'}" in lines()["secrets"][0].do


def test_a_name_that_leads_elsewhere(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (directory / "settings.py").open("a") as settings:
        settings.write("SITES['blog']['domains'] = ['a.example', 'b.example', 'c.example']\n")
    answers = {"a.example": "198.51.100.7", "b.example": "203.0.113.1"}

    def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host not in answers:
            raise socket.gaierror(-2, "Name or service not known")
        return [(0, 0, 0, "", (answers[host], 443))]

    monkeypatch.setattr(network.socket, "getaddrinfo", getaddrinfo)
    one = Server("loadbalancer1", "loadbalancer", "10.0.0.11", "198.51.100.7")
    found = list(network.names(load(directory), Inventory([one])))
    assert [line.grade for line in found] == ["ok", "fail", "fail"]
    assert "203.0.113.1, which is no balancer" in found[1].text
    assert "a record for c.example has to name 10.0.0.11, 198.51.100.7" in found[2].do


def test_ports_are_tried_from_here(directory: Path) -> None:
    settings = load(directory)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        open_port = listener.getsockname()[1]
        here_ = Server("appnode1", "appnode", "127.0.0.1", user="root", port=open_port)
        assert [line.grade for line in network.ports(settings, Inventory([here_]))] == ["ok"]
    closed = list(network.ports(settings, Inventory([here_])))
    assert closed[0].grade in ("fail", "warn")


@pytest.mark.parametrize(
    ("found", "wanted", "fits"),
    [("3.2.3", ">=3.2,<4", True), ("4.0", ">=3.2,<4", False), ("3.1", ">=3.2", False), ("10.0", ">=3", True)],
)
def test_versions_are_compared_as_numbers(found: str, wanted: str, fits: bool) -> None:
    assert here._fits(found, wanted) is fits


def test_a_fault_of_our_own_is_a_line_and_the_rest_is_looked_at() -> None:
    def broken() -> list[Line]:
        raise ZeroDivisionError("oops")

    (line,) = looked("x", broken)
    assert line.grade == "fail"
    assert "oops" in line.text


def test_own_tasks_that_can_not_be_imported_do_not_keep_check_from_running(directory: Path) -> None:
    for name in ("fabfile.py", "fabric.yaml"):
        (directory / name).write_text((FABFILE.parent / name).read_text())
    (directory / "fab_local.py").write_text("import os\nos.nonsense()\n")
    with (directory / "settings.py").open("a") as settings:
        settings.write(FIXED)
    environment = {**os.environ, "HOME": str(directory), "NO_COLOR": "1"}
    done = subprocess.run([FAB, "check"], cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "fail fab_local.py  fab_local.py raised" in done.stdout
    assert "ok   settings" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_split_under_way_is_told_with_what_goes_on_with_it(lines, directory: Path) -> None:
    assert "split" not in lines()
    settings = load(directory)
    change = Change("split", {"all1": "dbappbalancer"}, {"all1": "appbalancer", "db1": "dbserver"})
    settings.state.mkdir(exist_ok=True)
    journal.write(journal.new(change, (), "all1").begun("boot"), settings)
    [told] = lines("")["split"]
    assert (told.grade, "A split of all1 is under way" in told.text) == ("warn", True)
    assert told.do == "`fab split --resume` goes on, `fab split --abort` goes back"
    (settings.state / "split.json").write_text("{")
    assert [line.grade for line in lines("")["split"]] == ["fail"]
