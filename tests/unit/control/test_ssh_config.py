"""What `ssh` itself makes of the configuration that is written for it."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploymachine import ssh_config
from deploymachine.errors import SettingsError
from deploymachine.inventory import Server
from deploymachine.settings import Settings


@contextmanager
def greeting(address: str, port: int = 0) -> Iterator[int]:
    """Something that greets as an SSH server does."""
    with socket.create_server((address, port)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"SSH-2.0-test\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def understood(file: Path, name: str) -> dict[str, str]:
    """The options that OpenSSH would use."""
    done = subprocess.run(["ssh", "-F", str(file), "-G", name], capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_what_ssh_reads_out_of_it(settings: Settings) -> None:
    with greeting("127.66.0.1") as port:
        settings = settings.model_copy(update={"SSH_PORT": port})
        servers = [
            Server("appnode1", "appnode", "127.66.0.1", id="1"),
            Server("old1", "appnode", "127.66.0.9", user="admin", port=2022),
            Server("booting1", "appnode", state="BUILD", id="2"),
        ]
        file = ssh_config.write(settings, servers)
    seen = understood(file, "appnode1")
    assert (seen["hostname"], seen["port"], seen["user"]) == ("127.66.0.1", str(port), settings.DEPLOY_USERNAME)
    assert seen["userknownhostsfile"] == str(settings.state / "known_hosts")
    assert (seen["globalknownhostsfile"], seen["stricthostkeychecking"]) == ("/dev/null", "true")
    assert understood(file, f"appnode1.{settings.DEPLOYMENT}") == seen | {"host": f"appnode1.{settings.DEPLOYMENT}"}
    old = understood(file, "old1")
    assert (old["hostname"], old["port"], old["user"]) == ("127.66.0.9", "2022", "admin")
    assert "booting1" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_a_bare_server_is_roots(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploymachine.cloud.banner.answering_port", lambda _address, _ports: 22)
    seen = understood(ssh_config.write(settings, [Server("appnode1", "appnode", "127.66.0.1", id="1")]), "appnode1")
    assert (seen["port"], seen["user"]) == ("22", "root")


def test_our_keys_and_no_others_are_offered(settings: Settings, tmp_path: Path) -> None:
    keys = tmp_path / "our keys, 100%h"
    keys.mkdir()
    for name in ("whole", "agents"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / name], check=True)
    (keys / "agents").unlink()
    ours = settings.model_copy(update={"ADMIN_SSH_KEYS": (str(keys / "whole.pub"), str(keys / "agents.pub"))})
    server = Server("old1", "appnode", "127.66.0.9")
    text = ssh_config.write(ours, [server]).read_text()
    assert understood(ssh_config.path(ours), "old1")["identitiesonly"] == "yes"
    escaped = str(keys).replace("%", "%%")
    assert f'IdentityFile "{escaped}/whole"\n' in text
    assert f'IdentityFile "{escaped}/agents.pub"\n' in text


def test_elsewhere_it_is_kept_up_as_well(settings: Settings, tmp_path: Path) -> None:
    elsewhere = tmp_path / "conf.d" / "site"
    assert ssh_config.write(settings, [], elsewhere) == elsewhere
    assert ssh_config.write(settings, [Server("old1", "appnode", "127.66.0.9")]) == elsewhere
    assert "old1" in elsewhere.read_text()
    assert ssh_config.include_line(elsewhere) == f"Include {elsewhere}"


def test_a_place_that_cannot_be_written(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="can't be written"):
        ssh_config.write(settings, [], tmp_path / "file" / "below")
