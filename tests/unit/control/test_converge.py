"""One connection, one command: the bundle is sent once, the password goes to sudo alone, every end is told."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ssh_server import SshServer

from deploymachine import bundle as packing
from deploymachine.bundle import bundle
from deploymachine.converge import NoPythonError, Result, run
from deploymachine.errors import ConnectError, ConvergeError
from deploymachine.secrets import Secret
from deploymachine.settings import Settings
from deploymachine.ssh import Login, connect

STATE = {"command": "guard", "action": "state"}


@pytest.fixture(autouse=True)
def _python3(ssh_server: SshServer, tmp_path: Path) -> None:
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)


def ask(ssh_server: SshServer, settings: Settings, request: dict[str, Any], **options: Any) -> Result:
    with connect(ssh_server.server, Login("deploy", ssh_server.port), settings) as connection:
        return run(connection, request, lambda _server, _event: None, **options)


def fake_sudo(tmp_path: Path, body: str) -> None:
    path = tmp_path / "bin" / "sudo"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_the_server_answers(ssh_server: SshServer, settings: Settings) -> None:
    result = ask(ssh_server, settings, STATE)
    assert result.ok
    assert result.result["provisioned"] is None


def test_the_bundle_is_sent_once(ssh_server: SshServer, settings: Settings, tmp_path: Path) -> None:
    ask(ssh_server, settings, STATE)
    kept = tmp_path / "server" / "bundles" / bundle(()).hash
    assert list(kept.rglob("*.pyc"))
    (kept / "guard.py").write_text(
        "def main(request, emit):\n    emit({'event': 'run-done', 'state': 'ok'})\n    return 0\n"
    )
    assert ask(ssh_server, settings, STATE).result == {}, "the unpacked one was used, not a new one"


def test_many_servers_at_once_wait_for_one_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    walked: list[tuple[Path, ...]] = []
    contents = packing._contents

    def slow(cookbook_paths: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
        walked.append(cookbook_paths)
        time.sleep(0.05)  # long enough for the others to ask as well
        return contents(cookbook_paths)

    monkeypatch.setattr(packing, "_contents", slow)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: bundle((tmp_path,)).data, range(8)))
    assert walked == [(tmp_path,)]
    assert all(data is found[0] for data in found)


def test_old_bundles_go(ssh_server: SshServer, settings: Settings, tmp_path: Path) -> None:
    for name in "abcde":
        (tmp_path / "server" / "bundles" / name).mkdir(parents=True)
    ask(ssh_server, settings, STATE)
    kept = {path.name for path in (tmp_path / "server" / "bundles").iterdir()}
    assert bundle(()).hash in kept
    assert len(kept) == 3


def test_an_attachment_arrives_whole(ssh_server: SshServer, settings: Settings, tmp_path: Path) -> None:
    book = tmp_path / "cookbooks"
    book.mkdir()
    data = bytes(range(256)) * 9000
    result = ask(ssh_server, settings, {"command": "release", "action": "nonsense"}, attachment=data)
    assert not result.ok
    assert result.error is not None


def test_sudo_gets_the_password_and_nobody_else(ssh_server: SshServer, settings: Settings, tmp_path: Path) -> None:
    fake_sudo(
        tmp_path, f'read -r p; echo "$p" > {tmp_path}/password; while [ "$1" != -- ]; do shift; done; shift; exec "$@"'
    )
    assert ask(ssh_server, settings, STATE, sudo_password=Secret("s3cret pass")).ok
    assert (tmp_path / "password").read_text() == "s3cret pass\n"
    assert "s3cret" not in " ".join(ssh_server.commands)


def test_a_sudo_that_does_not_ask_does_no_harm(ssh_server: SshServer, settings: Settings, tmp_path: Path) -> None:
    fake_sudo(tmp_path, 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')
    assert ask(ssh_server, settings, STATE, sudo_password=Secret("s3cret")).ok


def test_sudo_refuses(ssh_server: SshServer, settings: Settings, tmp_path: Path) -> None:
    fake_sudo(
        tmp_path, 'read -r p; echo "Sorry, try again." >&2; echo "sudo: 1 incorrect password attempt" >&2; exit 1'
    )
    with pytest.raises(ConvergeError, match="does not take the deploy user's password") as caught:
        ask(ssh_server, settings, STATE, sudo_password=Secret("s3cret"))
    assert "secrets.json" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_no_python(ssh_server: SshServer, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "bin" / "python3").unlink()
    ssh_server.environment["PATH"] = str(tmp_path / "empty")
    with pytest.raises(NoPythonError, match="no python3 on appnode1"):
        ask(ssh_server, settings, STATE)


def test_a_chatty_login_script_is_named(ssh_server: SshServer, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "bin" / "python3").unlink()
    (tmp_path / "bin" / "python3").write_text("#!/bin/sh\ncat >/dev/null & echo 'Welcome to the machine!'\n")
    (tmp_path / "bin" / "python3").chmod(0o755)
    with pytest.raises(ConvergeError, match="not an event") as caught:
        ask(ssh_server, settings, STATE)
    assert "Welcome to the machine!" in str(caught.value)


def test_a_cut_connection(ssh_server: SshServer, settings: Settings) -> None:
    ssh_server.cut_after = 0
    with pytest.raises(ConnectError, match="was cut"):
        ask(ssh_server, settings, STATE)


def test_a_fault_of_ours_is_told_as_one(ssh_server: SshServer, settings: Settings) -> None:
    result = ask(ssh_server, settings, {"command": "guard", "action": "nonsense"})
    assert result.error is not None
    assert "deploymachine itself failed" in str(result.error)
    assert "guard.py" in str(result.error)


def test_the_same_contents_make_the_same_bundle(tmp_path: Path) -> None:
    book = tmp_path / "mine"
    (book / "web").mkdir(parents=True)
    (book / "web" / "metadata.py").write_text("__config__ = {}")
    one = bundle((book,))
    packing._bundle.cache_clear()
    assert bundle((book,)).hash == one.hash
    (book / "web" / "metadata.py").write_text("__config__ = {'a': 1}")
    packing._bundle.cache_clear()
    assert bundle((book,)).hash != one.hash
