"""What goes wrong for a user and what they are told; the servers stay as they were and a rerun ends well."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import paramiko
import pytest
from fleet import Fleet, served_by
from machine_world import until

pytestmark = pytest.mark.devcloud


@contextmanager
def new_release(fleet: Fleet, path: str, text: str) -> Iterator[None]:
    """One more commit of the site, taken back afterwards."""
    (fleet.site / path).write_text(text)
    fleet.commit("Something new")
    try:
        yield
    finally:
        fleet.git("reset", "--quiet", "--hard", "HEAD~1")
        fleet.fab("appnode", "launch")


def serving(fleet: Fleet) -> set[str]:
    """The appnodes that answer for the site, each with 200."""
    answers = [fleet.get() for _ in range(6)]
    assert {answer.status for answer in answers} == {200}
    return {served_by(answer) for answer in answers}


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('"debian-13"', '"debain-13"', "openstack_boot appnode9", ["no image 'debain-13'", "debian-13"]),
        ('"devcloud"', '"devclod"', "openstack_list", ["no cloud 'devclod'", "clouds.yaml"]),
        ("SSH_PORT", "SSH_PROT", "everything kokki", ["unknown setting SSH_PROT", "SSH_PORT", "settings.py"]),
        ('"dbserver": [', '"dbsevrer": [', "everything kokki", ["unknown server type 'dbsevrer'", "dbserver"]),
    ],
)
def test_a_mistake_in_the_settings(fleet: Fleet, old: str, new: str, line: str, words: list[str]) -> None:
    with fleet.edited("settings.py", old, new):
        message = fleet.refused(*line.split())
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("openstack_boot appnode9 --flavor m9.huge", ["no flavor 'm9.huge'", "m1.small"]),
        ("openstack_boot webnode1", ["no server type 'webnode'", "appnode"]),
        ("appbalancer launch", ["appbalancer selects none", "openstack_bootem"]),
        ("apnode launch", ["no task or server type 'apnode'", "did you mean 'appnode'"]),
        ("launch", ["No servers were selected", "fab appnode launch"]),
        ("openstack_kill appnode7 --yes", ["no server 'appnode7'", "appnode1"]),
        ("openstack_kill appnode1", ["confirmation", "--yes"]),
        ("server:appnode1 kokki --nonsense", ["no option --nonsense", "fab --help kokki"]),
    ],
)
def test_a_mistake_on_the_command_line(fleet: Fleet, line: str, words: list[str]) -> None:
    message = fleet.refused(*line.split())
    for word in words:
        assert word in message


def test_wrong_credentials(fleet: Fleet) -> None:
    text = (fleet.directory / "clouds.yaml").read_text()
    password = next(line for line in text.splitlines() if "password:" in line)
    with fleet.edited("clouds.yaml", password, "      password: wrong"):
        message = fleet.refused("openstack_list")
    assert "refuses these credentials" in message
    assert "HTTP 401" in message


def test_an_unreachable_cloud(fleet: Fleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    url = next(line for line in (fleet.directory / "clouds.yaml").read_text().splitlines() if "auth_url:" in line)
    with fleet.edited("clouds.yaml", url, f"      auth_url: http://127.0.0.1:{free}/identity/v3"):
        assert "can't be reached" in fleet.refused("openstack_list")


def test_a_wrong_host_key_is_never_accepted_and_the_others_go_on(fleet: Fleet) -> None:
    known = f"[{fleet.server('appnode1').address}]:2222 "
    lines = (fleet.directory / ".deploymachine/known_hosts").read_text().splitlines()
    pinned = next(line for line in lines if line.startswith(known))
    other = paramiko.ECDSAKey.generate()
    forged = f"{known}{other.get_name()} {other.get_base64()} {pinned.split()[3]}"
    with fleet.edited(".deploymachine/known_hosts", pinned, forged):
        ended = fleet.try_command("fab", "everything", "kokki")
    assert ended.code == 1
    assert "another host key" in ended.output
    assert ended.output.count(": ok (0 changes") == 3


def test_a_recipe_that_raises_is_shown_with_its_line_and_changes_nothing(fleet: Fleet) -> None:
    recipe = fleet.directory / "mine" / "broken" / "recipes" / "default.py"
    recipe.parent.mkdir(parents=True)
    (recipe.parents[1] / "metadata.py").write_text("")
    recipe.write_text('from kokki import *\nFile("/etc/never", content="x")\nraise ValueError("on purpose")\n')
    with (
        fleet.edited("kokki-config.yaml", "cookbook_paths: []", "cookbook_paths: [mine]"),
        fleet.edited("kokki-config.yaml", "recipes: [base, logs]", "recipes: [base, logs, broken]"),
    ):
        message = fleet.refused("server:appnode1", "kokki")
    assert "broken/recipes/default.py:3" in message
    assert "on purpose" in message
    assert fleet.ssh("appnode1", "test -e /etc/never").code == 1


def test_a_repository_that_cannot_be_cloned(fleet: Fleet) -> None:
    with fleet.edited("settings.py", '"repository": "guestbook"', '"repository": "nowhere"'):
        message = fleet.refused("appnode", "launch")
    assert "nowhere" in message
    assert serving(fleet) == {"appnode1", "appnode2"}


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        (
            "entries/migrations/0003_broken.py",
            "from django.db import migrations\n\ndef fail(apps, editor):\n    raise ValueError('on purpose')\n\n"
            "class Migration(migrations.Migration):\n    dependencies = [('entries', '0002_words')]\n"
            "    operations = [migrations.RunPython(fail)]\n",
            ["migrat", "on purpose"],
        ),
        ("guestbook/urls.py", "def broken(:\n", ["SyntaxError"]),
        ("requirements.txt", "no-such-package-of-ours==1.0\n", ["no-such-package-of-ours"]),
        (
            "guestbook/wsgi.py",
            "def application(environ, start_response):\n"
            "    start_response('500 On Purpose', [])\n    return [b'never healthy']\n",
            ["500 On Purpose"],
        ),
    ],
)
def test_a_release_that_fails_leaves_the_old_one_serving(fleet: Fleet, path: str, text: str, words: list[str]) -> None:
    with fleet.edited("settings.py", '"health_timeout": 30', '"health_timeout": 10'), new_release(fleet, path, text):
        message = fleet.refused("appnode", "launch")
        for word in words:
            assert word in message, message
        assert serving(fleet) == {"appnode1", "appnode2"}


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize(("line", "word"), [("everything kokki", "cook"), ("appnode launch", "build")])
def test_stopped_in_the_middle_a_rerun_ends_well(fleet: Fleet, line: str, word: str, sign: signal.Signals) -> None:
    with new_release(fleet, "entries/static/entries/new.txt", f"{line} {sign.name}"):
        with fleet.start(*line.split()) as running:
            seen = next((text for text in running.stdout if word in text), None)
            os.killpg(running.pid, sign)
            rest = running.stdout.read()
        assert seen is not None
        assert "Traceback" not in rest
        if sign == signal.SIGINT:
            assert running.returncode == 130, rest
            assert "run the same command again" in rest
        fleet.fab(*line.split())
        assert " 0 changes" in fleet.fab(*line.split()).splitlines()[-1]
        assert serving(fleet) == {"appnode1", "appnode2"}


def test_one_appnode_less_leaves_the_site_up(fleet: Fleet) -> None:
    dead = fleet.server("appnode2")
    found = subprocess.run(
        ["pgrep", "-f", f"^systemd-nspawn.*--uuid={dead.id}"], capture_output=True, text=True, check=True
    )
    os.kill(int(found.stdout.split()[0]), signal.SIGKILL)
    try:
        assert "SHUTOFF" in fleet.fab("openstack_list")
        assert serving(fleet) == {"appnode1"}
    finally:
        fleet.command("openstack", "--os-cloud", "devcloud", "server", "start", "appnode2")
    assert until(lambda: fleet.ssh("appnode2", "true").code == 0)
    assert until(lambda: serving(fleet) == {"appnode1", "appnode2"})
    assert " 0 changes" in fleet.fab("appnode", "launch").splitlines()[-1]
