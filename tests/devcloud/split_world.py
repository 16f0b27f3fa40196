"""A site whose servers become others while writers sign its book: what they are, what it holds, what goes wrong."""

from __future__ import annotations

import os
import re
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet import Fleet
from fleet_shapes import assert_healthy, assert_nothing_differs
from machine_world import until
from writers import RATE, Seen, Writing, writers

SETTLE = 100  # signatures before and after a step
KEEPERS = ("dbappbalancer", "dbserver")
OPTIONS = ("--yes", "--write-settings")
# Of what a database sends to that address no more than this leaves the server.
NARROW = """table inet narrow {{
  chain output {{
    type filter hook output priority 300;
    ip daddr {} tcp sport 5432 limit rate over 200 kbytes/second burst 200 kbytes drop
  }}
}}
"""


@dataclass
class Story:
    """fleet: with a front that stays what visitors come to. writing: what its writers have done so far."""

    fleet: Fleet
    writing: Writing

    def kinds(self) -> dict[str, str]:
        """Name -> type of every server, as the cloud knows them."""
        return {server.name: server.type for server in self.fleet.inventory()}

    def does(self, *words: str) -> tuple[str, Seen]:
        """A `fab` line under writers: what it printed, and what they saw meanwhile. Nobody was told of an error."""
        self.writing.goes_on(SETTLE)
        began = time.monotonic()
        told = self.fleet.fab(*words)
        ended = time.monotonic()
        self.writing.goes_on(SETTLE)
        assert self.writing.failures == []
        return told, self.writing.between(began, ended)

    def leads(self) -> str:
        """The one server whose database can be written to, asked of each that has one."""
        ask = "cd /; runuser -u postgres -- psql -XqAt -c 'SELECT NOT pg_is_in_recovery()' 2>/dev/null || true"
        keepers = [server.name for server in self.fleet.inventory() if self.up(server.name)]
        leading = [name for name in keepers if self.fleet.sudo(name, ask).strip() == "t"]
        assert len(leading) == 1, leading
        return leading[0]

    def up(self, name: str) -> bool:
        return self.fleet.ssh(name, "true").code == 0

    def book(self) -> dict[str, int]:
        """What the book holds of what these writers signed: text -> how often."""
        command = f"cd /; runuser -u postgres -- psql -XqAt -d guestbook -c {shlex.quote(self.writing.query)}"
        return self.writing.book(self.fleet.sudo(self.leads(), command))

    def assert_book(self) -> None:
        """Everything that was acknowledged is there, once. A signature may have come after the book was read."""
        acknowledged = dict(self.writing.acknowledged)
        book = self.book()
        assert sorted(set(acknowledged) - set(book)) == []
        assert [text for text, count in book.items() if count > 1] == []

    def assert_settled(self) -> None:
        """Nothing is left to do or to worry about."""
        assert_nothing_differs(self.fleet)
        assert_healthy(self.fleet)


@contextmanager
def signed(fleet: Fleet, rate: float = RATE) -> Iterator[Story]:
    """Writers come to the fleet's front, `rate` times a second; in the end the book holds what they were told, once."""
    certificate = fleet.directory / ".deploymachine/certificates/guestbook.pem"
    with writers(fleet.server(fleet.front).address, certificate, rate) as writing:
        story = Story(fleet, writing)
        yield story
    book = story.book()
    assert (writing.lost(book), writing.twice(book)) == ([], [])


def interrupted(fleet: Fleet, words: tuple[str, ...], marker: str, act: Callable[[], object]) -> tuple[int, str]:
    """A `fab` line that meets trouble as soon as it has printed `marker`, a regular expression: exit code, output."""
    said = []
    with fleet.start(*words) as running:
        assert running.stdout is not None
        for line in running.stdout:
            said.append(line)
            if re.search(marker, line):
                act()
                break
        said += running.stdout
        running.wait(timeout=600)
    told = "".join(said)
    assert re.search(marker, told, re.MULTILINE), told
    assert "Traceback (most recent call last)" not in told, told
    return running.returncode, told


def killed(fleet: Fleet, words: tuple[str, ...], marker: str, further: int = 0) -> None:
    """A `fab` line that is killed with all its processes once it has printed `marker`, and so many lines more."""
    with fleet.start(*words) as running:
        assert running.stdout is not None
        seen = next((line for line in running.stdout if re.search(marker, line)), None)
        for _ in range(further):
            next(running.stdout, None)
        os.killpg(running.pid, signal.SIGKILL)
    assert seen is not None, marker


def power_loss(fleet: Fleet, name: str) -> None:
    """The machine ends, all at once."""
    uuid = f"--uuid={fleet.server(name).id}"
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_text().split("\0")
        except OSError:
            continue  # it has just ended
        if words[0] == "systemd-nspawn" and uuid in words:
            os.kill(int(entry.parent.name), signal.SIGKILL)
            assert until(lambda: fleet.server(name).state == "SHUTOFF")
            return
    raise AssertionError(f"{name} does not run")


@contextmanager
def apart(fleet: Fleet, one: str, other: str) -> Iterator[None]:
    """Two servers that don't reach each other, while everybody else reaches both."""
    address = fleet.server(other).private_ip
    fleet.sudo(one, f"ip route add blackhole {address}/32")
    try:
        yield
    finally:
        fleet.sudo(one, f"ip route del blackhole {address}/32")


def damaged(fleet: Fleet, replica: str, table: str) -> None:
    """A replica whose disk has lost what the guestbook keeps in a table."""
    ask = f"SELECT current_setting('data_directory') || '/' || pg_relation_filepath('{table}')"
    fleet.sudo(
        replica,
        f"""cd /; file=$(runuser -u postgres -- psql -XqAt -d guestbook -c "{ask}")
        unit=$(systemctl list-units --plain --no-legend 'postgresql@*' | cut -d' ' -f1)
        systemctl stop "$unit"; truncate -s 0 "$file"; systemctl start "$unit" """,
    )


@contextmanager
def silent(fleet: Fleet, name: str) -> Iterator[None]:
    """A server whose sites do not answer."""
    fleet.sudo(name, "supervisorctl stop all")
    try:
        yield
    finally:
        fleet.sudo(name, "supervisorctl start all")


@contextmanager
def overwhelmed(fleet: Fleet, name: str, replica: str) -> Iterator[None]:
    """As soon as that replica follows, the server's database writes more than comes through to it."""
    follows = f"FROM pg_stat_replication WHERE application_name = 'dm_{replica}' AND state = 'streaming'"
    write = "SELECT pg_logical_emit_message(false, 'much', repeat('x', %d << 20))"
    script = f"""cd /
      ask() {{ runuser -u postgres -- psql -XqAt -c "$1"; }}
      going() {{ nft list table inet narrow; }}
      while going && [ -z "$(ask "SELECT 1 {follows}")" ]; do sleep 0.1; done
      going && nft -f - <<'END'\n{NARROW.format(fleet.server(replica).private_ip)}END
      for _ in 1 2 3 4 5 6; do ask "{write % 8}"; done
      while going; do ask "{write % 1}"; sleep 1; done"""
    beside = f"sh -c {shlex.quote(script)} </dev/null >/dev/null 2>&1 &"
    fleet.sudo(name, f"nft add table inet narrow; {beside}")
    try:
        yield
    finally:
        fleet.sudo(name, "nft delete table inet narrow")
