"""A server as a stranger finds it, as auditors judge it, as admins live with it: updated, rebooted, cooked again."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import audits
import paramiko
import pytest
from fleet import Fleet
from machine_world import until

pytestmark = pytest.mark.devcloud

POLICY = "Hardened Debian 13 (version 1)"
STRANGER = "192.0.2.77"
TRIES = 8


@pytest.fixture(scope="module")
def ssh_auditor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return audits.install_ssh_audit(tmp_path_factory.mktemp("ssh-audit"))


def test_ssh_audit_finds_nothing_to_warn_of(box: Fleet, ssh_auditor: Path) -> None:
    assert audits.ssh_findings(ssh_auditor, box.server("box1").address) == []


def test_its_policy_for_the_release_is_passed(box: Fleet, ssh_auditor: Path) -> None:
    told = audits.ssh_audit(ssh_auditor, box.server("box1").address, "-n", "-P", POLICY)
    assert told.returncode == 0, told.stdout
    assert "Passed" in told.stdout


def test_lynis_is_content(box: Fleet) -> None:
    index, warnings = audits.lynis(box, "box1")
    assert index >= audits.LEAST
    assert warnings == []


def test_every_port_but_the_declared_is_filtered(box: Fleet) -> None:
    assert audits.answers(box.server("box1").address) == {2222: "open"}


def methods(address: str, user: str) -> list[str]:
    with socket.create_connection((address, 2222), 10) as connection:
        transport = paramiko.Transport(connection)
        try:
            transport.start_client(timeout=20)
            with pytest.raises(paramiko.BadAuthenticationType) as refused:
                transport.auth_none(user)
            return list(refused.value.allowed_types)
        finally:
            transport.close()


@pytest.mark.parametrize("user", ["root", "deploy", "nobody-such"])
def test_a_stranger_is_offered_keys_alone(box: Fleet, user: str) -> None:
    assert methods(box.server("box1").address, user) == ["publickey"]


def test_root_is_refused_and_sudo_asks(box: Fleet) -> None:
    assert "Permission denied (publickey)" in box.ssh("box1", "true", user="root").output
    assert box.ssh("box1", "sudo -n true").code != 0
    assert box.sudo("box1", "id -un").strip() == "root"


def test_several_sessions_share_a_connection(box: Fleet) -> None:
    client = paramiko.SSHClient()
    client.load_host_keys(str(box.home / ".ssh" / "known_hosts"))
    key = paramiko.Ed25519Key.from_private_key_file(str(box.home / ".ssh" / "id_ed25519"))
    address = box.server("box1").address
    client.connect(address, port=2222, username="deploy", pkey=key, allow_agent=False, look_for_keys=False)
    with client:
        running = [client.exec_command("read line; echo $line") for _ in range(4)]
        for number, (stdin, _stdout, _stderr) in enumerate(running):
            stdin.write(f"{number}\n")
            stdin.channel.shutdown_write()
        assert [stdout.read() for _stdin, stdout, _stderr in running] == [b"0\n", b"1\n", b"2\n", b"3\n"]


def test_what_people_make_is_their_own_and_nothing_is_dumped(box: Fleet) -> None:
    told = box.ssh("box1", "bash -lc 'umask; ulimit -c; echo $TMOUT; stat -c %a ~'").output.split()
    assert told == ["0027", "0", "3600", "700"]
    assert box.sudo("box1", "umask").strip() == "0027"


def test_what_keeps_it_up_to_date_runs(box: Fleet) -> None:
    units = "cron fail2ban nftables ssh unattended-upgrades apt-daily.timer apt-daily-upgrade.timer"
    assert box.sudo("box1", f"systemctl is-active {units}").split() == ["active"] * 7
    assert box.sudo("box1", f"systemctl is-enabled {units}").split() == ["enabled"] * 7
    assert box.sudo("box1", "systemctl --failed --plain --no-legend") == ""
    box.sudo("box1", "unattended-upgrade --dry-run")


@contextmanager
def own_address(address: str) -> Iterator[None]:
    """One more address of this machine, to come from."""
    subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "address", "del", f"{address}/32", "dev", "lo"], check=True)


def knock(box: Fleet, source: str, user: str) -> str:
    """What ssh says; a ban in the middle of it leaves it without an answer, for ever."""
    line = box.ssh_line("box1", "true", user=user)
    return box.try_command("timeout", "15", *line[:1], "-o", f"BindAddress={source}", *line[1:]).output


def test_who_fails_again_and_again_is_shut_out_but_no_admin(box: Fleet) -> None:
    route: Any = json.loads(box.command("ip", "-json", "route", "get", box.server("box1").address))
    with own_address(STRANGER):
        for number in range(TRIES):
            knock(box, STRANGER, f"guest{number}")
            knock(box, route[0]["prefsrc"], f"guest{number}")
        assert until(lambda: "Permission denied" not in knock(box, STRANGER, "guest"))
        assert STRANGER in box.sudo("box1", "fail2ban-client get sshd banned")
        box.sudo("box1", f"fail2ban-client unban {STRANGER}")
    assert box.ssh("box1", "true").code == 0


def test_packages_are_upgraded_and_a_second_time_nothing_is(box: Fleet) -> None:
    box.fab("everything", "apt.upgrade")
    assert " 0 changes" in box.fab("everything", "apt.upgrade")
    assert box.try_command("fab", "everything", "apt.upgrade", "--dry-run").code == 0


def test_it_comes_back_from_a_reboot_with_everything(box: Fleet) -> None:
    boot = "systemctl show --property=UserspaceTimestampMonotonic"
    before = box.sudo("box1", boot)
    assert "--yes" in box.refused("everything", "reboot")
    assert box.sudo("box1", boot) == before
    assert "box1: ok: rebooted" in box.fab("everything", "reboot", "--yes")
    assert box.sudo("box1", boot) != before
    assert "policy drop" in box.sudo("box1", "nft list table inet deploymachine")


def test_cooked_again_nothing_changes(box: Fleet) -> None:
    box.fab("everything", "kokki")
    assert " 0 changes" in box.fab("everything", "kokki")
    assert box.try_command("fab", "everything", "kokki", "--dry-run").code == 0
