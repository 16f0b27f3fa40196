"""Logs of a small fleet: read on the server while there is no lognode, then sent to one, and nothing lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fleet import Fleet
from machine_world import until

pytestmark = pytest.mark.devcloud
WITHOUT = '"dbappbalancer": [("all1", "m1.small")],'
WITH = WITHOUT + '\n    "lognode": [("lognode1", "m1.small")],'
DAY = "/var/log/servers/$(date -u +%F)"


@pytest.fixture(scope="module")
def alone(devcloud) -> Iterator[Fleet]:
    """One server that does everything, as most begin; it is gone afterwards, whatever was added to it."""
    home = Path(devcloud.state.parent / "logs")
    (home / "deployment").mkdir(parents=True)
    shutil.copy(devcloud.directory / "clouds.yaml", home / "deployment")
    made = Fleet(home / "deployment", home / "home")
    made.make()
    path = made.directory / "settings.py"
    text = re.sub(r"(?s)OPENSTACK_SERVERS = \{.*?\n\}", f"OPENSTACK_SERVERS = {{\n    {WITHOUT}\n}}", path.read_text())
    path.write_text(re.sub(r'DEPLOYMENT = ".*"', 'DEPLOYMENT = "logs"', text))
    try:
        for line in ("openstack_bootem", "root provision", "dbappbalancer launch"):
            made.told[line] = made.try_command("fab", *line.split())
            assert made.told[line].code == 0, made.told[line].output
        yield made
    finally:
        made.try_command("fab", "openstack_sudokillem", "--yes-i-mean-it", "logs")


@pytest.fixture(scope="module")
def fleet(alone: Fleet, request: pytest.FixtureRequest) -> Fleet:
    """With a lognode, after what is asked of the server alone."""
    path = alone.directory / "settings.py"
    path.write_text(path.read_text().replace(WITHOUT, WITH))
    alone.fab("openstack_boot", "lognode1")
    alone.fab("root", "provision")
    alone.fab("lognode", "launch")
    alone.fab("everything", "kokki")
    return alone


def visit(fleet: Fleet, path: str) -> None:
    """Over HTTPS, as anybody may."""
    trust = fleet.directory / ".deploymachine/certificates/guestbook.pem"
    address = fleet.server("all1").address
    fleet.command("curl", "--silent", "--cacert", str(trust), "--output", "/dev/null", f"https://{address}{path}")


def programs(output: str) -> set[str]:
    return set(re.findall(r"^\S+Z (?:[\w-]+)/([^:\s]+): ", output, re.MULTILINE))


def test_without_a_lognode_nothing_is_sent_and_every_server_is_asked(alone: Fleet) -> None:
    assert alone.sudo("all1", "command -v rsyslogd || echo none").strip() == "none"
    visit(alone, "/?a=quoted'%22$(x)")
    told = alone.fab("logs", "--since", "1h")
    wanted = {"nginx-site-guestbook", "site-guestbook", "postgresql", "sudo", "kokki", "systemd"}
    assert wanted <= programs(told)
    times = re.findall(r"^(\S+Z) ", told, re.MULTILINE)
    assert times == sorted(times)
    mine = alone.fab("logs", "--site", "guestbook", "--grep", "$(x)", "--server", "all1")
    assert programs(mine) <= {"nginx-site-guestbook", "site-guestbook"}
    assert "/?a=quoted'%22$(x)" in mine
    request = json.loads(next(line for line in mine.splitlines() if "nginx-site" in line).split(": ", 1)[1])
    assert (request["status"], request["method"]) == (200, "GET")


def test_logs_can_not_fill_the_disk(alone: Fleet) -> None:
    assert "SystemMaxUse=500M" in alone.sudo("all1", "systemd-analyze cat-config systemd/journald.conf")
    assert "error" not in alone.sudo("all1", "logrotate --debug /etc/logrotate.conf 2>&1").lower().replace(
        "error.log", ""
    )
    assert "hourly" in alone.sudo("all1", "systemctl cat logrotate.timer")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--since", "soon"], "that is no time"),
        (["--site", "guestbok"], "did you mean 'guestbook'"),
        (["--server", "all2"], "There is no server 'all2'; did you mean 'all1'?"),
    ],
)
def test_a_question_that_can_not_be_answered(alone: Fleet, words: list[str], what: str) -> None:
    assert what in alone.refused("logs", *words)


def test_with_one_everything_arrives_there(fleet: Fleet) -> None:
    assert "2 servers, 0 changes" in fleet.fab("everything", "kokki")
    assert "2 servers, 0 changes" in fleet.fab("everything", "kokki", "--dry-run")
    visit(fleet, "/?a=central")
    fleet.sudo("all1", "echo 'not to be: seen' > /dev/null; logger -p auth.info -t mine 'hello: you'")
    wanted = {"nginx-site-guestbook", "site-guestbook", "postgresql", "sudo", "kokki", "sshd-session", "mine"}

    def kept() -> bool:
        names = fleet.sudo("lognode1", f"ls {DAY}/all1").split()
        return wanted <= {name.removesuffix(".log") for name in names}

    assert until(kept)
    assert until(lambda: "/?a=central" in fleet.sudo("lognode1", f"cat {DAY}/all1/nginx-site-guestbook.log"))
    line = fleet.sudo("lognode1", f"tail -n 1 {DAY}/all1/mine.log")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00 all1/mine: hello: you\n", line)
    modes = fleet.sudo("lognode1", f"stat -c '%a %U %G' /var/log/servers {DAY} {DAY}/all1 {DAY}/all1/mine.log")
    assert modes.splitlines() == ["750 root adm"] * 3 + ["640 root adm"]


def test_nothing_is_lost_while_the_lognode_is_away(fleet: Fleet) -> None:
    fleet.sudo("lognode1", "systemctl stop rsyslog 2>/dev/null")
    fleet.sudo("all1", "seq -f 'numbered %.0f' 1000 > /tmp/lines; logger -t numbers -f /tmp/lines")
    queued = "grep -q 'numbered 1000' /var/spool/rsyslog/to-lognode1.0* && echo queued; true"
    assert until(lambda: fleet.sudo("all1", queued).strip() == "queued", 90)
    fleet.sudo("all1", "systemctl restart rsyslog 2>/dev/null")
    fleet.sudo("lognode1", "systemctl start rsyslog")
    assert_arrived(fleet, "numbers", 1000, once=True)


@pytest.mark.parametrize("name", ["all1", "lognode1"])
def test_nothing_is_lost_when_rsyslog_dies_on_either_side(fleet: Fleet, name: str) -> None:
    tag = f"dying-{name}"
    fleet.sudo("all1", f"seq -f 'numbered %.0f' 3000 > /tmp/{tag}; (logger -t {tag} -f /tmp/{tag} &) > /dev/null 2>&1")
    fleet.sudo(name, "systemctl kill --signal=KILL rsyslog")
    assert_arrived(fleet, tag, 3000, once=False)


def assert_arrived(fleet: Fleet, tag: str, count: int, *, once: bool) -> None:
    """Lines numbered from 1, in their order; once each, or some of them again after a connection that broke."""
    found: list[int] = []

    def all_there() -> bool:
        told = fleet.sudo("lognode1", f"cat {DAY}/all1/{tag}.log 2>/dev/null; true")
        found[:] = [int(line.rsplit(" ", 1)[1]) for line in told.splitlines()]
        return count in found

    assert until(all_there, 90), f"{len(found)} lines of {tag} arrived"
    assert (found if once else list(dict.fromkeys(found))) == list(range(1, count + 1))


def test_strangers_are_not_listened_to(fleet: Fleet) -> None:
    address = fleet.server("lognode1").private_ip
    connect = f"timeout 10 openssl s_client -connect {address}:2514 -CAfile /etc/rsyslog.d/tls/authority.pem"
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /tmp/own.key -out /tmp/own.pem -subj /CN=all1"
    fleet.sudo("all1", f"openssl req -x509 {key} 2>/dev/null")
    hello = "1 open 85 relp_version=0\\nrelp_software=x\\ncommands=syslog\\n"
    for identity in ("", "-cert /tmp/own.pem -key /tmp/own.key"):
        said = fleet.sudo("all1", f"(printf '{hello}'; sleep 3) | {connect} {identity} 2>&1 | tail -n 30; true")
        assert re.search("alert|unexpected eof|Broken pipe|errno", said), said
        assert "200 OK" not in said
    done = subprocess.run(["timeout", "3", "bash", "-c", f"</dev/tcp/{address}/2514"], capture_output=True, check=False)
    assert done.returncode == 124  # from elsewhere not even that: the firewall


def test_the_keys_are_roots_alone_and_the_unit_is_tight(fleet: Fleet) -> None:
    for name in ("all1", "lognode1"):
        assert fleet.ssh(name, "cat", "/etc/rsyslog.d/tls/server.key").code != 0
        told = fleet.sudo(name, "systemd-analyze security rsyslog --no-pager | tail -n 1")
        assert float(re.search(r"rsyslog.service: ([\d.]+)", told)[1]) <= 3.5, told  # type: ignore[index]


def test_a_lognode_answers_for_all(fleet: Fleet) -> None:
    told = fleet.fab("logs", "--since", "1h", "--grep", "numbered", "--server", "all1")
    numbers = [int(line.rsplit(" ", 1)[1]) for line in told.splitlines() if "/numbers: " in line]
    assert numbers == list(range(1, 1001))
    both = fleet.fab("logs", "--since", "1h", "--grep", "kokki: run ended")
    assert {"all1", "lognode1"} == set(re.findall(r"Z ([\w-]+)/", both))
    assert programs(fleet.fab("logs", "--site", "guestbook", "--since", "2h")) == {
        "nginx-site-guestbook",
        "site-guestbook",
    }
    assert "there is no server all9" in fleet.refused("logs", "--server", "all9")
    assert "numbered 1000" in fleet.fab("logs", "--direct", "--since", "1h", "--grep", "numbers: ")


@pytest.mark.parametrize("options", [[], ["--direct"]])
def test_following_shows_what_comes_and_ends_with_nothing_left(fleet: Fleet, options: list[str]) -> None:
    reading = "ps axww -o args | grep -c '[s]ys.stdin.buffer\\|[j]ournalctl.*follow' || true"
    following = fleet.start("logs", "--follow", "--grep", "follow/this", *options)
    assert following.stdout is not None
    output = following.stdout.fileno()
    os.set_blocking(output, False)
    shown: list[str] = []

    def logged(number: int) -> Callable[[], bool]:
        def look() -> bool:
            fleet.sudo("all1", f"logger -t follow 'this {number}'; logger -t other 'follow/this {number}'")
            with suppress(BlockingIOError):
                shown.append(os.read(output, 1 << 20).decode())
            return f"all1/other: follow/this {number}\n" in "".join(shown)

        return look

    try:
        assert until(logged(1), 60), shown
        assert until(logged(2), 60), shown
        os.killpg(following.pid, signal.SIGINT)
        assert following.wait(20) == 0
        assert "Traceback" not in "".join(shown)
    finally:
        following.kill()
        following.stdout.close()
        following.wait()
    for name in ("all1", "lognode1"):
        assert until(lambda name=name: fleet.sudo(name, reading).strip() == "0"), name  # type: ignore[misc]


def test_who_has_seen_enough_ends_it(fleet: Fleet) -> None:
    done = fleet.try_command("sh", "-c", "fab logs --since 2h | head -n 1")
    assert (done.code, len(done.output.splitlines())) == (0, 1), done.output


def test_a_lognode_forgets_what_is_too_old(fleet: Fleet) -> None:
    fleet.sudo("lognode1", "mkdir -p /var/log/servers/2020-01-01/all1; echo x > /var/log/servers/2020-01-01/all1/a.log")
    fleet.sudo("lognode1", "systemctl start deploymachine-log-retention.service")
    assert fleet.sudo("lognode1", "ls /var/log/servers").split() == fleet.sudo("lognode1", "date -u +%F").split()
    fleet.sudo("all1", "logger -t after 'it goes on'")
    assert until(lambda: "it goes on" in fleet.sudo("lognode1", f"cat {DAY}/all1/after.log 2>/dev/null; true"))
    assert "active" in fleet.sudo("lognode1", "systemctl is-active deploymachine-log-retention.timer")


def test_secrets_are_in_no_log(fleet: Fleet) -> None:
    kept = fleet.sudo("lognode1", "cat /var/log/servers/*/*/*")
    for name in ("deploy-password", "database-guestbook", "site-guestbook-secret-key"):
        assert fleet.secret(name) not in kept
    for name in ("authority-key", "server-all1-tls-key"):
        assert fleet.secret(name).splitlines()[1] not in kept


def test_without_its_lognode_a_server_goes_on_by_itself(fleet: Fleet) -> None:
    path = fleet.directory / "settings.py"
    path.write_text(path.read_text().replace(WITH, WITHOUT))
    begun = time.time()
    fleet.fab("openstack_kill", "lognode1", "--yes", "--yes-i-mean-it", "lognode1")
    fleet.fab("everything", "kokki")
    assert "0 changes" in fleet.fab("everything", "kokki")
    assert fleet.sudo("all1", "systemctl is-active rsyslog || true").strip() == "inactive"
    assert fleet.sudo("all1", "ls /etc/rsyslog.d/tls").strip() == ""
    fleet.sudo("all1", "logger -t alone 'again'")
    assert "all1/alone: again" in fleet.fab("logs", "--since", f"{int(time.time() - begun) + 60}s")
