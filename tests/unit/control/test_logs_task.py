"""`fab logs` against a real SSH server: what is asked, what is shown, and how it ends."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from ssh_server import SshServer

from deploymachine import logs
from deploymachine.errors import ConnectError, ConvergeError, UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.logs import Question, known_site, moment, show
from deploymachine.servertypes import Deployment

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)
NOON = "2026-01-31T12:00:00"


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("1w", NOW - timedelta(weeks=1)),
        ("0s", NOW),
        ("2026-01-31 11:30", NOW - timedelta(minutes=30)),
        ("2026-01-31T11:30:00.500000Z", NOW - timedelta(minutes=30) + timedelta(milliseconds=500)),
        ("2026-01-31", NOW - timedelta(hours=12)),
    ],
)
def test_since_is_a_while_ago_or_a_moment(text: str, when: datetime) -> None:
    assert moment(text, NOW) == when


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("yesterday", "no time"),
        ("10", "no time"),
        ("-5m", "no time"),
        ("2026-02-30", "no time"),
        ("999999w", "no time"),
        ("2026-01-31 12:01", "still to come"),
    ],
)
def test_what_is_no_time_is_told(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        moment(text, NOW)
    assert text in str(caught.value)


def test_an_unknown_site_is_told(deployment: Deployment) -> None:
    assert known_site("blog", deployment) == "blog"
    with pytest.raises(UsageError, match="did you mean 'blog'"):
        known_site("blogg", deployment)


@pytest.fixture
def near(ssh_server: SshServer, deployment: Deployment, tmp_path: Path) -> Deployment:
    """The one server there is lies on loopback; its disk is `tmp_path`, its journal is empty."""
    ssh_server.environment.update({"DEPLOYMACHINE_ROOT": str(tmp_path), "TZ": "UTC"})
    program = tmp_path / "bin" / "journalctl"
    program.write_text('#!/bin/sh\ncase "$*" in *--follow*) exec sleep 60;; esac\n')
    program.chmod(0o755)
    return at(deployment, ssh_server, "appnode")


def at(deployment: Deployment, ssh_server: SshServer, kind: str, *more: Server) -> Deployment:
    one = Server("appnode1", kind, "127.0.0.1", user="root", port=ssh_server.port)
    return Deployment(deployment.settings, Inventory([one, *more]), deployment.secrets)


def put(tmp_path: Path, *lines: str) -> None:
    (tmp_path / "etc/deploymachine").mkdir(parents=True, exist_ok=True)
    (tmp_path / "etc/deploymachine/logs.json").write_text('{"/var/log/x/*.log": "*"}')
    (tmp_path / "var/log/x").mkdir(parents=True, exist_ok=True)
    with (tmp_path / "var/log/x/site-blog.log").open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def test_what_a_server_logged_is_shown(near: Deployment, tmp_path: Path) -> None:
    put(tmp_path, f"{NOON} It's $(x) \x1b[31m; 'q'", "Traceback", f"{NOON}.5 other")
    shown: list[str] = []
    show(Question(NOW, site="blog", grep="$(x) \x1b"), near, shown.append)
    assert shown == [f"{NOON}.000000Z appnode1/site-blog: {NOON} It's $(x) \\x1b[31m; 'q'\n"]


def test_very_many_lines_stream(near: Deployment, tmp_path: Path) -> None:
    put(tmp_path, *(f"{NOON} {number}" for number in range(30_000)))
    shown: list[str] = []
    show(Question(NOW), near, shown.append)
    assert [int(line.rsplit(" ", 1)[1]) for line in shown] == list(range(30_000))


def test_what_is_asked_stands_in_no_command(near: Deployment, ssh_server: SshServer, tmp_path: Path) -> None:
    put(tmp_path, f"{NOON} x")
    show(Question(NOW, grep="a secret; $(reboot)"), near, lambda _: None)
    assert not any("secret" in command for command in ssh_server.commands)


def test_a_server_that_is_away_hides_nobody_elses_logs(
    near: Deployment, ssh_server: SshServer, deployment: Deployment, tmp_path: Path
) -> None:
    put(tmp_path, f"{NOON} here")
    away = Server("appnode2", "appnode", "127.0.0.1", user="root", port=1)
    shown: list[str] = []
    with pytest.raises(ConnectError, match="No host key is known for appnode2"):
        show(Question(NOW), at(deployment, ssh_server, "appnode", away), shown.append)
    assert len(shown) == 1


def test_a_lognode_is_asked_for_all_and_knows_who_is_gone(
    near: Deployment, ssh_server: SshServer, deployment: Deployment, tmp_path: Path
) -> None:
    day = tmp_path / "var/log/servers/2026-01-31/gone1"
    day.mkdir(parents=True)
    (day / "sshd.log").write_text(f"{NOON}.000000+00:00 gone1/sshd: bye\n")
    fleet = at(deployment, ssh_server, "lognode", Server("dbserver1", "dbserver", "192.0.2.1"))
    shown: list[str] = []
    show(Question(NOW), fleet, shown.append)
    show(Question(NOW, servers=("gone1",)), fleet, shown.append)
    assert shown == [f"{NOON}.000000Z gone1/sshd: bye\n"] * 2
    with pytest.raises(ConvergeError, match="no server nobody1"):
        show(Question(NOW, servers=("nobody1",)), fleet, shown.append)
    with pytest.raises(UsageError, match="no server 'gone1'"):
        show(Question(NOW, servers=("gone1",), direct=True), fleet, shown.append)


def test_a_lognode_that_is_away_is_told_with_a_way_around(deployment: Deployment) -> None:
    away = Inventory([Server("lognode1", "lognode", "127.0.0.1", user="root", port=1)])
    with pytest.raises(ConnectError) as caught:
        show(Question(NOW), Deployment(deployment.settings, away, deployment.secrets), lambda _: None)
    assert "--direct" in str(caught.value)


def test_following_shows_what_comes_and_ends_with_nothing_left(
    near: Deployment, ssh_server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, f"{NOON} first")
    monkeypatch.setattr(logs, "TOGETHER", 0.05)
    seen: list[str] = []

    def write(line: str) -> None:
        seen.append(line)
        if "first" in line:
            threading.Timer(0.1, put, (tmp_path, f"{NOON}.25 second")).start()
        else:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        show(Question(NOW, follow=True), near, write)
    assert [line.rsplit(" ", 1)[1] for line in seen] == ["first\n", "second\n"]
    deadline = time.monotonic() + 20
    while left := _readers(str(tmp_path)):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _readers(home: str) -> list[str]:
    """The processes of the server that still read: its agent, and what that has started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if f"DEPLOYMACHINE_ROOT={home}\0".encode() in environment:
            found.append((process / "cmdline").read_bytes().decode(errors="replace"))
    return found
