"""It can't lock you out: a change of the way in that does not work is undone by the server, whoever is there to see."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from fleet import REPOSITORY, Fleet
from machine_world import until

pytestmark = pytest.mark.devcloud

OWN = "cookbook_paths: []"
KOKKI = ["everything", "kokki"]
WITHIN = 60  # seconds
CHANGES = {
    "a firewall that drops our own port": (
        "templates/nftables.conf.j2",
        "tcp dport {{ env.config.base.ssh_port }} accept",
        "tcp dport {{ env.config.base.ssh_port }} drop",
    ),
    "a sudo that forbids everything": ("recipes/sudo.py", "ALL=(ALL:ALL) ALL", "ALL=(ALL:ALL) !ALL"),
    "an sshd on another port": ("templates/sshd.conf.j2", "Port {{ base.ssh_port }}", "Port 2299"),
    "somebody else's key": ("recipes/deploy_user.py", "{key.strip()}", "{key.strip()[:-60]}{'A' * 60}"),
}


@contextmanager
def changed(box: Fleet, what: str) -> Iterator[None]:
    """The deployment with a cookbook `base` of its own, which has a mistake in it."""
    path, old, new = CHANGES[what]
    mine = box.directory / "mine" / "base"
    shutil.copytree(REPOSITORY / "deploymachine/target/cookbooks/base", mine)
    text = (mine / path).read_text()
    assert old in text
    (mine / path).write_text(text.replace(old, new))
    try:
        with (
            box.edited("kokki-config.yaml", OWN, "cookbook_paths: [mine]"),
            box.edited("settings.py", "SSH_CONNECT_TIMEOUT = 10", "SSH_CONNECT_TIMEOUT = 3"),
        ):
            yield
    finally:
        shutil.rmtree(mine)


def way_in(box: Fleet) -> str:
    """Everything that decides who gets in, as one text."""
    return box.sudo(
        "box1",
        "sha256sum /etc/passwd /etc/shadow /etc/nftables.conf /etc/sudoers.d/* /etc/ssh/sshd_config.d/*"
        " /home/*/.ssh/authorized_keys; nft list table inet deploymachine; sshd -T; ls /var/lib/deploymachine",
    )


@pytest.fixture
def before(box: Fleet) -> str:
    """The way in as it is before the test; the server wants nothing."""
    box.fab(*KOKKI)
    assert " 0 changes" in box.fab(*KOKKI)
    return way_in(box)


@pytest.mark.parametrize("what", CHANGES)
def test_what_does_not_work_is_put_back_and_told(box: Fleet, before: str, what: str) -> None:
    with changed(box, what):
        told = box.refused(*KOKKI)
    assert "The new way into box1 does not work; everything was put back" in told
    assert box.ssh("box1", "true").code == 0
    assert way_in(box) == before
    assert " 0 changes" in box.fab(*KOKKI)


@pytest.mark.parametrize("left", ["the run", "nobody"])
def test_the_server_comes_back_by_itself(box: Fleet, before: str, left: str) -> None:
    """The control side is killed at the very moment; and the run on the server as well: the timer is left then."""
    with changed(box, "a firewall that drops our own port"):
        kill_in_between(box, and_the_run=left == "nobody")
        began = time.monotonic()
        assert until(lambda: box.ssh("box1", "true").code == 0, WITHIN)
    assert time.monotonic() - began < WITHIN
    assert until(lambda: box.sudo("box1", "ls /var/lib/deploymachine/*.tar 2>/dev/null || true") == "")
    assert way_in(box) == before
    assert " 0 changes" in box.fab(*KOKKI)


def kill_in_between(box: Fleet, *, and_the_run: bool) -> None:
    """End the control side when a change has just been made, without a word."""
    with json_events(box) as running:
        assert running.stdout is not None
        assert any(json.loads(line)["event"] == "way-in-changed" for line in running.stdout)
        runs = runs_on(box, "box1") if and_the_run else []
        for process in runs:
            os.kill(process, signal.SIGKILL)
        os.killpg(running.pid, signal.SIGKILL)
    assert bool(runs) == and_the_run
    assert not and_the_run or box.ssh("box1", "true").code != 0


@contextmanager
def json_events(box: Fleet) -> Iterator[subprocess.Popen[str]]:
    environment = {**box.environment, "DEPLOYMACHINE_OUTPUT": "json", "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["fab", *KOKKI],
        cwd=box.directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as running:
        yield running


def runs_on(box: Fleet, name: str) -> list[int]:
    """Our runs on a server, seen from its host: they are in its namespaces, and nobody else's."""
    nspawn = subprocess.run(
        ["pgrep", "-f", f"^systemd-nspawn.*--uuid={box.server(name).id}"], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    leader = subprocess.run(["pgrep", "-P", nspawn], capture_output=True, text=True, check=True).stdout.split()[0]
    theirs = Path(f"/proc/{leader}/ns/pid").readlink()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (path / "cmdline").read_bytes()
            if (
                line.startswith(b"python3")
                and b"-- deploymachine --" in line
                and (path / "ns/pid").readlink() == theirs
            ):
                found.append(int(path.name))
    return found


def test_a_change_that_works_stays(box: Fleet, before: str) -> None:
    path = "kokki-config.yaml"
    with box.edited(path, "default_attributes: {}", "default_attributes: {base.ssh_max_sessions: 5}"):
        assert " 2 changes" in box.fab(*KOKKI)
        assert "maxsessions 5" in box.sudo("box1", "sshd -T")
    box.fab(*KOKKI)
    assert way_in(box) == before


def test_admins_come_and_go(box: Fleet, before: str) -> None:
    second = box.home / ".ssh" / "second"
    box.command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(second))
    first = '"~/.ssh/id_ed25519.pub"'
    with box.edited("settings.py", first, f'{first}, "~/.ssh/second.pub"'):
        box.fab("everything", "users.sync")
        assert box.ssh("box1", "-i", str(second), "true").code == 0
    with box.edited("settings.py", first, '"~/.ssh/second.pub"'):
        box.fab("everything", "users.sync")
        assert "Permission denied" in box.ssh("box1", "true").output
        with box.edited("settings.py", '["~/.ssh/second.pub"]', "[]"):
            assert "nobody could log in" in box.refused("everything", "users.sync")
    with box.edited("settings.py", first, f'{first}, "~/.ssh/second.pub"'):
        box.fab("everything", "users.sync")
    box.fab("everything", "users.sync")
    assert box.try_command("fab", "everything", "users.sync", "--dry-run").code == 0
    assert way_in(box) == before
