"""`fab status`: what a real agent tells over a real SSH connection, what is made of it, and how it is shown."""

from __future__ import annotations

import json
import socket
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from ssh_server import SshServer

from deploymachine.inventory import Inventory, Server
from deploymachine.runlist import run_lists
from deploymachine.servertypes import Deployment
from deploymachine.status import asking, judging
from deploymachine.status.asking import Seen, Wanted
from deploymachine.tasks import _status_table as table

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)
GOOD = {"time": "2026-01-31T11:00:00Z", "fingerprint": "f", "bundle": "b"}
HEALTHY: dict[str, Any] = {
    "load": [0.1, 0.2, 0.3],
    "cpus": 2,
    "memory": {"total": 1000, "used": 400},
    "disks": [{"path": "/", "total": 100, "used": 20, "inodes": 0.1}],
    "reboot": {"required": False, "packages": []},
    "system": {"id": "debian", "release": "13", "name": "Debian 13", "python": "3.13.5"},
    "cooked": {"time": GOOD["time"], "state": "ok", "totals": {}, "good": GOOD},
    "sites": [{"name": "blog", "release": "r2", "commit": "abcdef0123456789", "settled": True}],
    "certificates": [],
    "programs": [{"name": "site-blog", "state": "RUNNING", "why": "pid 7"}],
    "units": {"failed": [], "stopped": [], "error": ""},
    "database": None,
}
PRIMARY = {"role": "primary", "receiving": False, "lag_seconds": 0, "replicas": [], "backup": None}


def seen(name: str = "appnode1", kind: str = "appnode", **different: Any) -> Seen:
    return Seen(Server(name, kind, "10.0.0.1", id="1"), {**HEALTHY, **different}, None, Wanted("f", "b"))


def told(*servers: Seen) -> list[tuple[str, str, str]]:
    return [(one.server, one.about, one.grade) for one in judging.concerns(servers, NOW)]


def test_a_healthy_server_is_no_concern() -> None:
    assert told(seen()) == []


@pytest.mark.parametrize(
    ("different", "about", "grade", "words"),
    [
        (
            {"units": {"failed": ["x.service"], "stopped": [], "error": ""}},
            "services",
            "now",
            "journalctl -u x.service",
        ),
        (
            {"units": {"failed": [], "stopped": ["nginx.service"], "error": ""}},
            "services",
            "now",
            "server:appnode1 kokki",
        ),
        ({"programs": [{"name": "site-blog", "state": "FATAL", "why": "w"}]}, "services", "now", "--grep site-blog"),
        ({"programs": [{"name": "site-blog", "state": "WAITING", "why": ""}]}, "sites", "soon", "fab appnode launch"),
        ({"disks": [{"path": "/", "total": 100, "used": 96, "inodes": 0.1}]}, "disk", "now", "96% full"),
        (
            {"disks": [{"path": "/", "total": 100, "used": 20, "inodes": 0.9}]},
            "disk",
            "soon",
            "inodes of / is 90% full",
        ),
        ({"memory": {"total": 1000, "used": 990}}, "memory", "now", "99% of the memory"),
        ({"reboot": {"required": True, "packages": ["libc6"]}}, "reboot", "soon", "fab server:appnode1 reboot"),
        ({"cooked": None}, "cooked", "soon", "never cooked"),
        ({"cooked": {**HEALTHY["cooked"], "state": "failed"}}, "cooked", "now", "the last cook failed"),
        ({"cooked": {**HEALTHY["cooked"], "good": {**GOOD, "fingerprint": "x"}}}, "cooked", "soon", "settings, roles"),
        ({"cooked": {**HEALTHY["cooked"], "good": {**GOOD, "bundle": "x"}}}, "cooked", "soon", "cookbooks or"),
        ({"sites": [{**HEALTHY["sites"][0], "settled": False}]}, "sites", "now", "did not come to its end"),
        ({"database": {"role": "stopped", "why": "no socket", "backup": None}}, "database", "now", "no socket"),
        (
            {"database": {**PRIMARY, "backup": {"error": "there is no backup yet"}}},
            "backup",
            "soon",
            "postgresql.backup",
        ),
        ({"certificates": [{"path": "/x.crt", "pem": ""}]}, "certificate", "now", "holds no certificate"),
    ],
)
def test_each_trouble_is_one_concern_that_says_what_to_do(
    different: dict[str, Any], about: str, grade: str, words: str
) -> None:
    found = judging.concerns([seen(**different)], NOW)
    assert [(one.about, one.grade) for one in found] == [(about, grade)]
    assert words in found[0].what + found[0].do


@pytest.mark.parametrize(("days", "grades"), [(300, []), (20, ["soon"]), (3, ["now"]), (-2, ["now"])])
def test_a_certificate_is_told_of_before_it_runs_out(
    days: int, grades: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from deploymachine import certificates
    from deploymachine.secrets import Secret

    pem = certificates._new_certificate(Secret(certificates.new_key()), ["blog.example"]).decode()
    now = datetime.now(timezone.utc) + timedelta(days=certificates.DAYS - days)
    one = seen(certificates=[{"path": "/etc/nginx/tls/blog.crt", "pem": pem}])
    found = [one for one in judging.concerns([one], now) if one.about == "certificate"]
    assert [one.grade for one in found] == grades


@pytest.mark.parametrize(("hours", "grades"), [(3, []), (30, ["now"])])
def test_a_backup_is_to_be_a_day_old_at_most(hours: int, grades: list[str]) -> None:
    backup = {"ended": NOW.timestamp() - hours * 3600, "label": "x", "type": "full", "error": ""}
    one = seen("dbserver1", "dbserver", database={**PRIMARY, "backup": backup})
    assert [grade for _, _, grade in told(one)] == grades
    assert table.values([one], [], NOW)["servers"][0]["database"]["backup"]["age"] == hours * 3600


def test_two_that_lead_or_none_are_told() -> None:
    replica = {**PRIMARY, "role": "replica", "receiving": True}
    both = [seen(f"dbserver{number}", "dbserver", database=PRIMARY) for number in (1, 2)]
    assert told(*both) == [("dbserver2", "database", "now")]
    assert told(seen("dbserver1", "dbserver", database=replica)) == [("dbserver1", "database", "now")]
    fine = [both[0], seen("dbserver2", "dbserver", database=replica)]
    assert told(*fine) == []


@pytest.mark.parametrize(
    ("different", "grade"), [({"receiving": False}, "now"), ({"receiving": True, "lag_seconds": 90}, "soon")]
)
def test_a_replica_that_falls_behind_is_told(different: dict[str, Any], grade: str) -> None:
    first = seen("dbserver1", "dbserver", database=PRIMARY)
    second = seen("dbserver2", "dbserver", database={**PRIMARY, "role": "replica", **different})
    assert told(first, second) == [("dbserver2", "database", grade)]


def test_different_releases_of_one_site_are_told() -> None:
    older = [{**HEALTHY["sites"][0], "release": "r1"}]
    assert told(seen("appnode1"), seen("appnode2", sites=older)) == [("appnode2", "sites", "soon")]


@pytest.mark.parametrize(("state", "grade"), [("SHUTOFF", "now"), ("BUILD", "soon"), (asking.ABSENT, "soon")])
def test_a_server_that_does_not_run_is_a_row_that_says_so(
    state: str, grade: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one = Seen(Server("appnode2", "appnode", "10.0.0.9", state=state))
    found = judging.concerns([seen(), one], NOW)
    assert [(item.server, item.grade) for item in found] == [("appnode2", grade)]
    table.show([seen(), one], found, NOW)
    rows = capsys.readouterr().out.splitlines()
    assert f"appnode2  appnode  10.0.0.9  {state}" in rows[2]
    assert "fab openstack_boot appnode2" in rows[3]


def test_what_is_shown_is_plain_in_a_pipe_and_leaves_out_what_nobody_has(capsys: pytest.CaptureFixture[str]) -> None:
    table.show([seen()], [], NOW)
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert "backup" not in output
    assert "blog abcdef01" in output
    assert "1 h ago" in output
    assert output.endswith("1 server: nothing to do\n")


@pytest.fixture
def near(ssh_server: SshServer, deployment: Deployment, tmp_path: Path) -> Deployment:
    """The one server there is lies on loopback; its disk is `tmp_path`."""
    root = tmp_path / "root"
    (root / "srv/sites/blog/releases/r1").mkdir(parents=True)
    (root / "srv/sites/blog/releases/r1/REVISION").write_text("abc\n")
    (root / "srv/sites/blog/current").symlink_to("releases/r1")
    (root / "run").mkdir()
    (root / "run/reboot-required").touch()
    (root / "run/reboot-required.pkgs").write_text("libc6\nlibc6\n")
    (root / "proc").mkdir()
    (root / "proc/meminfo").write_text("MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 750 kB\n")
    ssh_server.environment.update(
        {
            "DEPLOYMACHINE_ROOT": str(root),
            "KOKKI_ROOT": str(root),
            "DEPLOYMACHINE_SUPERVISOR": str(tmp_path / "no-supervisor"),
        }
    )
    listed = "nginx.service loaded failed failed nginx\ncron.service loaded active running cron\n"
    program(tmp_path, "systemctl", f"printf '{listed}'")
    one = Server("appnode1", "appnode", "127.0.0.1", user="root", port=ssh_server.port)
    inventory = Inventory([one, Server("dbserver1", "dbserver", "10.0.0.31", state="SHUTOFF")])
    return Deployment(deployment.settings, inventory, deployment.secrets)


def program(tmp_path: Path, name: str, line: str) -> None:
    path = tmp_path / "bin" / name
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def test_a_server_tells_how_it_is(near: Deployment) -> None:
    found = {one.server.name: one for one in asking.look(near)}
    answer = found["appnode1"].answer
    assert answer is not None
    assert answer["units"] == {"failed": ["nginx.service"], "stopped": [], "error": ""}
    assert answer["memory"]["used"] / answer["memory"]["total"] == 0.25
    assert answer["sites"] == [{"name": "blog", "release": "r1", "commit": "abc", "settled": True}]
    assert answer["reboot"] == {"required": True, "packages": ["libc6"]}
    assert answer["programs"] is None
    assert found["dbserver1"].answer is None
    states = {name: one.server.state for name, one in found.items()}
    assert states["appnode2"] == states["loadbalancer1"] == asking.ABSENT


def test_one_connection_and_one_command_a_server(near: Deployment, ssh_server: SshServer) -> None:
    asking.look(near)
    assert len(ssh_server.commands) == 1


def test_what_was_cooked_is_known_by_its_fingerprint(near: Deployment, tmp_path: Path) -> None:
    wanted = run_lists([near.inventory.named("appnode1")], near)["appnode1"]
    from deploymachine.bundle import bundle

    good = {"time": "2026-01-31T11:00:00Z", "fingerprint": wanted.fingerprint, "bundle": bundle(()).hash}
    place = tmp_path / "root/var/lib/deploymachine/kokki"
    place.mkdir(parents=True)
    (place / "last-cook.json").write_text(json.dumps({"time": good["time"], "state": "ok", "totals": {}, "good": good}))
    assert "cooked" not in [one.about for one in judging.concerns(asking.look(near), NOW)]
    other = Inventory([*near.inventory, Server("appnode2", "appnode", "10.0.0.22", state="BUILD")])
    more = Deployment(near.settings, other, near.secrets)
    assert ("appnode1", "cooked", "soon") in told(*asking.look(more))


def test_a_cook_is_written_down_where_it_was_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kokki.lastcook import remember

    monkeypatch.setenv("KOKKI_ROOT", str(tmp_path))
    file = tmp_path / "var/lib/deploymachine/kokki/last-cook.json"
    remember({"fingerprint": "f", "dry_run": True}, "pending", {}, "b")
    remember({"recipes": ["base.users"]}, "ok", {}, "b")
    assert not file.exists()
    remember({"fingerprint": "f"}, "ok", {"changed": 1}, "b")
    remember({"fingerprint": "g"}, "failed", {}, "c")
    known = json.loads(file.read_text())
    assert (known["state"], known["good"]["fingerprint"], known["good"]["bundle"]) == ("failed", "f", "b")
    assert file.stat().st_mode & 0o077 == 0


def test_a_server_that_takes_the_connection_and_is_silent_ends_in_time(
    near: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "python3", "exec sleep 60")
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.5)
    began = time.monotonic()
    one = next(one for one in asking.look(near) if one.server.name == "appnode1")
    assert time.monotonic() - began < 20
    assert "did not answer within" in str(one.error)


def test_a_server_that_is_down_is_not_waited_for(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    from deploymachine.hostkeys import HostKeys

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    HostKeys(deployment.settings).pin("appnode1", "127.0.0.1", port, "ssh-ed25519 " + "A" * 68)
    down = Server("appnode1", "appnode", "127.0.0.1", user="root", port=port)
    both = Deployment(deployment.settings, Inventory([down]), deployment.secrets)
    one = next(one for one in asking.look(both) if one.server.name == "appnode1")
    assert judging.concerns([one], NOW)[0].about == "reachable"


@pytest.mark.parametrize(
    ("kind", "do"),
    [
        ("dbserver", ["`fab openstack_kill box1`"]),
        ("dbappbalancer", ["`fab server:box1 postgresql.follow --server box1`"]),
        ("appbalancer", []),
    ],
)
def test_whoever_gave_its_databases_up_is_not_to_go_while_visitors_come_to_it(kind: str, do: list[str]) -> None:
    retired = seen("box1", kind, database={**PRIMARY, "role": "retired"})
    found = [one for one in judging.concerns([retired], NOW) if "taken over" in one.what]
    assert [one.do for one in found] == do
