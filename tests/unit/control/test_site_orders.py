"""A command is run as a site runs: its words arrive as they are, what it says has the server in front."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest
import sites_world
from sites_world import SiteWorld
from ssh_server import SshServer

from deploymachine.contrib import _site
from deploymachine.contrib._servers import Lines
from deploymachine.errors import ConnectError, ConvergeError, UsageError
from deploymachine.inventory import Server
from deploymachine.remote import Order
from deploymachine.settings import Settings
from deploymachine.tasks import _selection

NASTY = [
    "two words",
    "it's",
    '"quoted"',
    "a;b",
    "$(touch /tmp/never)",
    "`id`",
    "line one\nline two",
    "",
    "*",
    "-x",
    "\\",
    "ü",
]
ECHO = [sys.executable, "-c", "import sys, json; print(json.dumps(sys.argv[1:]))"]


@pytest.fixture
def world(tmp_path: Path, ssh_server: SshServer, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> SiteWorld:
    return sites_world.make(tmp_path, ssh_server, settings, monkeypatch)


def test_words_arrive_as_they_are(world: SiteWorld) -> None:
    import json

    said = _site.run([*ECHO, *NASTY])
    assert json.loads(said["appnode1"]) == NASTY
    assert not Path("/tmp/never").exists()  # noqa: S108 (it must not be there)


def test_it_runs_as_the_sites_user(world: SiteWorld) -> None:
    _site.run(["true"])
    assert world.users == ["site-blog"]


def test_output_has_the_server_in_front(world: SiteWorld, capsys: pytest.CaptureFixture[str]) -> None:
    _site.run(["sh", "-c", "echo one; printf 'two\\033[31m'; echo late >&2"])
    said = capsys.readouterr()
    assert said.out == "appnode1: one\nappnode1: two\\x1b[31m\n"
    assert said.err == "appnode1: late\n"


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        lines = Lines("appnode1", stream)
        lines.take(b"one\ntwo\n")
        lines.take(b"three\n")
    assert lines.text() == "one\ntwo\nthree\n"


def test_the_password_goes_to_sudo_alone(world: SiteWorld, capsys: pytest.CaptureFixture[str]) -> None:
    password = world.deployment.secrets.password("deploy-password")
    given = [bytes(range(256)) * 4000, b"the end"]
    digest = hashlib.sha256(b"".join(given)).hexdigest()
    assert _site.run(["sha256sum"], given=given) == {"appnode1": f"{digest}  -\n"}
    said = capsys.readouterr()
    assert password not in said.out + said.err + " ".join(world.ssh_server.commands)


def test_a_sudo_that_does_not_ask_hears_no_password(world: SiteWorld) -> None:
    world.program(
        "sudo",
        '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift; '
        f'exec /bin/sh -c "$3" sh {world.home}/sites/blog/shared/run cat\n',
    )
    assert _site.run(["cat"], given=[b"only this"]) == {"appnode1": "only this"}


def test_a_wrong_password_is_told(world: SiteWorld) -> None:
    world.sudo("another")
    with pytest.raises(ConvergeError, match="does not take the deploy user's password"):
        _site.run(["true"], given=[b"x"])


def test_a_command_that_fails_is_told(world: SiteWorld) -> None:
    with pytest.raises(ConvergeError) as raised:
        _site.run(["sh", "-c", "echo because >&2; exit 3"], quiet=True)
    assert "failed on appnode1" in raised.value.what
    assert (raised.value.why, raised.value.evidence) == ("exit code 3", ("because",))


def test_a_program_that_is_not_there_is_told(world: SiteWorld) -> None:
    with pytest.raises(ConvergeError) as raised:
        _site.run(["no-such-program"], quiet=True)
    assert raised.value.why == "exit code 127"
    assert "not found" in raised.value.evidence[-1]


def test_what_is_written_becomes_a_file(world: SiteWorld, tmp_path: Path) -> None:
    path = tmp_path / "dump"
    assert _site.run_into(["head", "-c", "300000", "/dev/zero"], path) == 300000
    assert path.read_bytes() == bytes(300000)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConvergeError):
        _site.run_into(["sh", "-c", "echo half; exit 1"], path)
    assert path.stat().st_size == 300000
    assert list(tmp_path.glob(".*.part")) == []


def test_a_site_that_is_not_there_is_told(world: SiteWorld) -> None:
    with pytest.raises(UsageError, match="There is no site 'blgo'; did you mean 'blog'") as caught:
        _site.run(["true"], "blgo")
    assert caught.value.hint == "name one of those, or add it to SITES in settings.py"


@pytest.mark.parametrize("name", ["a b", "a;b", "$(id)", "x\ny", "'"])
def test_a_sites_name_is_never_a_command(world: SiteWorld, name: str) -> None:
    with pytest.raises(UsageError, match="There is no site"):
        _site.run(["true"], name)
    assert world.ssh_server.commands == []


def test_servers_without_the_site_are_told(world: SiteWorld) -> None:
    _selection.forget()
    _selection.select("loadbalancer", lambda _inventory: (Server("loadbalancer1", "loadbalancer"),))
    with pytest.raises(UsageError, match="blog is not on loadbalancer1") as raised:
        _site.place("blog")
    assert raised.value.why == "it is on appnode1"


def test_a_terminal_is_needed_to_be_asked(world: SiteWorld) -> None:
    with pytest.raises(UsageError, match="This needs a terminal"):
        _site.run_at_terminal(["true"])


def test_a_connection_that_is_cut_is_told(world: SiteWorld) -> None:
    world.ssh_server.cut_after = 100_000
    with pytest.raises(ConnectError, match="The connection to appnode1 was cut"):
        _site.run(["head", "-c", "300000", "/dev/zero"], quiet=True)


def test_who_is_root_already_needs_no_sudo() -> None:
    order = Order(["cat", "a b"], "site-blog")
    assert order.line("root").startswith("runuser -u site-blog -- sh -c ")
    assert order.line("site-blog").startswith("sh -c ")
    assert order.line("deploy").startswith("sudo -k -S ")
