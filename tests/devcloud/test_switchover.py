"""Databases that change hands while writers sign the book, cut at every moment: one leads, and nothing is lost."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet import Ended, Fleet, own_deployment
from machine_world import until
from writers import Writing, writers

pytestmark = pytest.mark.devcloud
FRONT, KEEPERS = "appbalancer1", ("dbserver1", "dbserver2")
SETTINGS = f"""
OPENSTACK_SERVERS = {{
    "appbalancer": [("{FRONT}", "m1.small")],
    "dbserver": [(name, "m1.small") for name in {KEEPERS}],
}}
"""
LINES = ("openstack_bootem", "root provision", "everything launch")
SIGNATURES = 60
VERSION = "$(cd /etc/postgresql && ls -d [0-9]*)"
PROGRAM = Path(__file__).with_name("switching.py")


class Pair:
    """Two servers of which one leads."""

    def __init__(self, fleet: Fleet, writing: Writing) -> None:
        self.fleet, self.writing = fleet, writing

    def leads(self) -> str:
        """The only one that can be written to."""
        ask = "cd /; runuser -u postgres -- psql -XqAt -c 'SELECT NOT pg_is_in_recovery()' 2>&1 || true"
        leading = [name for name in KEEPERS if self.fleet.sudo(name, ask).strip() == "t"]
        assert len(leading) == 1, leading
        return leading[0]

    def sides(self) -> tuple[str, str]:
        """Who leads, and who does not."""
        leads = self.leads()
        return leads, next(name for name in KEEPERS if name != leads)

    def switch(self, *disturbance: str) -> Ended:
        """Have the other one take over; what stood on the terminal."""
        return self.fleet.try_command(sys.executable, str(PROGRAM), "switch", *self.sides(), *disturbance)

    def well(self, leads: str) -> None:
        """That one leads alone and holds the whole book, signed without an error all the while."""
        self.writing.goes_on(SIGNATURES)
        assert self.leads() == leads
        assert self.writing.failures == []
        self.all_there()

    def all_there(self) -> None:
        """Everything that was acknowledged until now is in the book, once."""
        acknowledged = dict(self.writing.acknowledged)
        book = self.writing.book(psql(self.fleet, self.leads(), self.writing.query))
        assert sorted(set(acknowledged) - set(book)) == []
        assert [text for text, count in book.items() if count > 1] == []


@pytest.fixture(scope="module")
def pair(devcloud) -> Iterator[Pair]:
    home = devcloud.state.parent / "switchover"
    with own_deployment(devcloud.directory / "clouds.yaml", home, FRONT, SETTINGS, LINES) as fleet:
        certificate = fleet.directory / ".deploymachine/certificates/guestbook.pem"
        with writers(fleet.server(FRONT).address, certificate) as writing:
            yield Pair(fleet, writing)


def psql(fleet: Fleet, server: str, sql: str) -> str:
    ask = f"cd /; runuser -u postgres -- psql -XqAt -d guestbook -c {shlex.quote(sql)}"
    return fleet.sudo(server, ask).strip()


def test_a_replica_takes_over_compared_and_without_an_error(pair: Pair) -> None:
    old, new = pair.sides()
    told = pair.fleet.fab("dbserver", "postgresql.promote", "--server", new, "--yes")
    assert "every checksum the same" in told
    assert "Sites were held for" in told
    pair.well(new)
    assert "masked" in pair.fleet.sudo(old, f"systemctl is-enabled postgresql@{VERSION}-main || true")


def test_started_by_hand_the_old_one_can_not_be_written_to(pair: Pair) -> None:
    _, old = pair.sides()
    where = "-D /var/lib/postgresql/$v/main -o '-c config_file=/etc/postgresql/'$v'/main/postgresql.conf'"
    control = f"v={VERSION}; cd /; runuser -u postgres -- /usr/lib/postgresql/$v/bin/pg_ctl {where} -w -l /dev/null"
    pair.fleet.sudo(old, f"{control} start >/dev/null")
    try:
        assert psql(pair.fleet, old, "SHOW transaction_read_only") == "on"
    finally:
        pair.fleet.sudo(old, f"{control} -m fast stop")


@pytest.mark.parametrize("moment", ["pooler.pause", "keeper.stop"])
def test_killed_before_the_fence_the_old_one_leads_on(pair: Pair, moment: str) -> None:
    old, _ = pair.sides()
    assert pair.switch("after", moment, "kill").code == -9
    pair.well(old)


def test_killed_between_fence_and_promotion_it_goes_on_when_run_again(pair: Pair) -> None:
    old, new = pair.sides()
    assert pair.switch("after", "keeper.fence", "kill").code == -9
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "switch", old, new],
        cwd=pair.fleet.directory,
        env=pair.fleet.environment,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0
    pair.well(new)


def test_killed_after_the_promotion_sites_find_the_new_one_by_themselves(pair: Pair) -> None:
    _, new = pair.sides()
    assert pair.switch("after", "keeper.promote", "kill").code == -9
    pair.well(new)
    pair.fleet.fab("dbserver", "postgresql.primary")


def test_a_transaction_that_does_not_end_is_named_and_nobody_waits_longer(pair: Pair) -> None:
    old, _ = pair.sides()
    password = pair.fleet.secret("database-guestbook")
    there = "FROM pg_stat_activity WHERE query ~ '^SELECT pg_sl'"
    words = "-c BEGIN -c 'SET LOCAL statement_timeout = 0' -c 'SELECT pg_sleep(600)'"
    hold = f"PGPASSWORD={password} psql -h 127.0.0.1 -p 6432 -U guestbook guestbook {words}"
    with subprocess.Popen(pair.fleet.ssh_line(FRONT, hold), stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL):
        try:
            assert until(lambda: "1" in psql(pair.fleet, old, f"SELECT 1 {there}"))
            ended = pair.switch()
        finally:
            psql(pair.fleet, old, f"SELECT pg_terminate_backend(pid) {there}")
    assert ended.code == 1
    assert "pg_sleep(600)" in ended.output
    pair.well(old)


def test_in_the_end_nothing_differs(pair: Pair) -> None:
    assert pair.switch().code == 0
    pair.well(pair.sides()[0])
    assert " 0 changes" in pair.fleet.fab("everything", "kokki").splitlines()[-1]
