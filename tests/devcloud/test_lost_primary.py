"""A primary that does not answer any more: a replica leads without it, and when it is back nobody can write to it."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fleet import Fleet, own_deployment
from machine_world import until
from split_world import power_loss
from test_switchover import FRONT, KEEPERS, LINES, SETTINGS, psql

SLOW = "DEPLOYMACHINE_SLOW_FLEETS"
pytestmark = [
    pytest.mark.devcloud,
    pytest.mark.skipif(SLOW not in os.environ, reason=f"takes its time: {SLOW}=1, or `make test-fleets`"),
]
ONE, TWO = KEEPERS
LEADS = "cd /; runuser -u postgres -- psql -XqAt -c 'SELECT NOT pg_is_in_recovery()' 2>/dev/null || true"
NOTED = "cat /var/lib/deploymachine/postgresql-retired 2>/dev/null || true"
CUT = """table inet cut {
  chain in { type filter hook input priority -500; policy drop; iif "lo" accept; }
  chain out { type filter hook output priority -500; policy drop; oif "lo" accept; }
}
"""


@pytest.fixture(scope="module")
def keepers(devcloud) -> Iterator[Fleet]:
    """Two that keep databases. The tests build on each other: what one leaves is where the next begins."""
    home = devcloud.state.parent / "lost-primary"
    with own_deployment(devcloud.directory / "clouds.yaml", home, FRONT, SETTINGS, LINES) as fleet:
        yield fleet


def signed(fleet: Fleet, message: str, *servers: str) -> None:
    """A new signature, and it lies on these servers."""
    message = f"{message} {uuid.uuid4().hex[:8]}"
    assert until(lambda: fleet.sign("Ada", message).status == 302)
    count = f"SELECT count(*) FROM entries_entry WHERE message = '{message}'"  # noqa: S608 (a text of ours)
    for server in servers:
        assert until(lambda server=server: psql(fleet, server, count) == "1"), server


def promoted(fleet: Fleet, new: str, old: str, *words: str) -> str:
    told = fleet.fab("dbserver", "postgresql.promote", "--server", new, "--yes-i-mean-it", old, *words)
    assert fleet.sudo(new, LEADS).strip() == "t"
    return told


def gives_up(fleet: Fleet, old: str, new: str) -> list[str]:
    """Wait until it has noticed that the other one leads; what it said to "do you lead?" until then."""
    answers: list[str] = []

    def noticed() -> bool:
        if fleet.ssh(old, "true").code != 0:
            return False
        noted, leads = fleet.sudo(old, f"{NOTED}; {LEADS}").partition("\n")[::2]
        answers.append(leads.strip())
        return f"{new} leads on a later timeline" in noted and not leads.strip()

    assert until(noticed, 180), answers
    return answers


def follows(fleet: Fleet, old: str, new: str) -> None:
    """What it alone has is kept aside, and it copies the other one; nothing is left to do."""
    assert "another server has taken over from it" in fleet.try_command("fab", "status").output
    fleet.fab(f"server:{old}", "postgresql.follow", "--server", old, "--yes")
    assert fleet.sudo(old, LEADS).strip() == "f"
    signed(fleet, f"{old} follows {new}", old, new)
    assert " 0 changes" in fleet.fab("everything", "kokki").splitlines()[-1]


@contextmanager
def alone(fleet: Fleet, name: str) -> Iterator[None]:
    """A server that runs, and that nobody reaches, nor it anybody."""
    ours = f"--uuid={fleet.server(name).id}"
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_text().split("\0")
        except OSError:
            continue  # it has just ended
        if words[0] == "systemd-nspawn" and ours in words:
            inside = (entry.parent / "task" / entry.parent.name / "children").read_text().split()[0]
            break
    else:
        raise AssertionError(f"{name} does not run")

    def nft(*words: str, rules: str = "") -> int:
        return subprocess.run(
            ["nsenter", f"--net=/proc/{inside}/ns/net", "nft", *words], input=rules, text=True
        ).returncode

    assert nft("-f", "-", rules=CUT) == 0
    try:
        assert fleet.ssh(name, "true").code != 0
        yield
    finally:
        if Path(f"/proc/{inside}").exists():
            assert nft("delete", "table", "inet", "cut") == 0


def test_it_lost_its_power_and_comes_back(keepers: Fleet) -> None:
    signed(keepers, "before the loss", ONE, TWO)
    power_loss(keepers, ONE)
    assert "This needs 'dbserver1' to be typed" in keepers.refused("dbserver", "postgresql.promote", "--server", TWO)
    promoted(keepers, TWO, ONE)
    signed(keepers, "after the loss", TWO)
    keepers.fab("openstack_boot", ONE)
    assert set(gives_up(keepers, ONE, TWO)) == {""}
    follows(keepers, ONE, TWO)


def test_its_network_is_cut_and_its_cloud_switches_it_off(keepers: Fleet) -> None:
    with alone(keepers, TWO):
        assert f"{TWO} is off" in promoted(keepers, ONE, TWO)
        assert keepers.server(TWO).state == "SHUTOFF"
    signed(keepers, "without the second", ONE)
    keepers.fab("openstack_boot", TWO)
    assert set(gives_up(keepers, TWO, ONE)) == {""}
    follows(keepers, TWO, ONE)


def test_it_was_said_to_be_off_and_was_not(keepers: Fleet) -> None:
    with alone(keepers, ONE):
        told = promoted(keepers, TWO, ONE, "--is-off")
        assert "is off\n" not in told
        signed(keepers, "while the first is alone", TWO)
    gives_up(keepers, ONE, TWO)
    signed(keepers, "the first is back", TWO)
    follows(keepers, ONE, TWO)
