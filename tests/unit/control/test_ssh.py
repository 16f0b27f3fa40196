"""Connections: only pinned host keys, only our keys, every outcome shown."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest
from ssh_server import SshServer

from deploymachine.errors import ConnectError, DeployMachineError, HostKeyError, SeveralErrors
from deploymachine.hostkeys import HostKeys
from deploymachine.inventory import Server
from deploymachine.settings import Settings
from deploymachine.ssh import Login, connect, on_each, values


def test_a_command_runs_there(ssh_server: SshServer, settings: Settings) -> None:
    with connect(ssh_server.server, Login("deploy", ssh_server.port), settings) as connection:
        done = connection.run(["sh", "-c", 'echo "$0"; echo oops >&2; exit 3', "two words; $HOME"])
    assert (done.code, done.output, done.errors) == (3, "two words; $HOME\n", "oops\n")


def test_another_host_key_is_never_accepted(ssh_server: SshServer, settings: Settings) -> None:
    other = paramiko.ECDSAKey.generate()
    pinned = f"{other.get_name()} {other.get_base64()}"
    HostKeys(settings).pin("appnode1", "127.0.0.1", ssh_server.port, pinned)
    with pytest.raises(HostKeyError) as caught:
        connect(ssh_server.server, Login("deploy", ssh_server.port), settings)
    assert "another host key" in str(caught.value)
    assert other.fingerprint in str(caught.value)
    assert HostKeys(settings).get("127.0.0.1", ssh_server.port) == pinned
    assert ssh_server.commands == []


def test_an_unknown_host_key_is_never_accepted(ssh_server: SshServer, settings: Settings) -> None:
    HostKeys(settings).unpin("appnode1")
    with pytest.raises(HostKeyError, match="No host key is known"):
        connect(ssh_server.server, Login("deploy", ssh_server.port), settings)


def test_nobody_answers(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    HostKeys(settings).pin(
        "appnode1", "127.0.0.1", port, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPKdQr5k8ZJ0ak9qjvRqTn2Yz6bGfVQk"
    )
    with pytest.raises(ConnectError, match=f"does not answer on port {port}") as caught:
        connect(Server("appnode1", "appnode", "127.0.0.1"), Login("root", port), settings)
    assert "refused" in str(caught.value)


def test_our_key_is_refused(ssh_server: SshServer, settings: Settings, directory: Path) -> None:
    other = paramiko.ECDSAKey.generate()
    other.write_private_key_file(str(directory / "id_ed25519"))
    with pytest.raises(ConnectError, match="does not let deploy in with your key") as caught:
        connect(ssh_server.server, Login("deploy", ssh_server.port), settings)
    assert "ADMIN_SSH_KEYS" in str(caught.value)


def test_every_server_is_tried_and_every_error_told() -> None:
    servers = [Server(f"n{number}", "appnode") for number in range(4)]
    tried = []

    def work(server: Server) -> str:
        tried.append(server.name)
        if server.name == "n1":
            raise ConnectError("n1 is away")
        if server.name == "n2":
            raise ZeroDivisionError("ours")
        return server.name

    outcomes = on_each(servers, work)
    assert sorted(tried) == ["n0", "n1", "n2", "n3"]
    assert [outcome.value for outcome in outcomes] == ["n0", None, None, "n3"]
    with pytest.raises(SeveralErrors) as caught:
        values(outcomes)
    assert "2 servers failed" in str(caught.value)
    assert "n1 is away" in str(caught.value)
    assert "bug of deploymachine" in str(caught.value)
    with pytest.raises(DeployMachineError, match="n1 is away"):
        values(outcomes[:2])


def test_a_server_not_booted_here_is_known_by_what_your_ssh_knows(
    ssh_server: SshServer, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    HostKeys(settings).unpin("appnode1")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{ssh_server.port} {ssh_server.key_line}\n")
    with connect(ssh_server.server, Login("root", ssh_server.port), settings) as connection:
        assert connection.run(["true"]).code == 0
    booted = replace(ssh_server.server, id="0cb1")
    with pytest.raises(HostKeyError, match="No host key is known"):
        connect(booted, Login("root", ssh_server.port), settings)


def test_all_keys_of_the_deployment_are_forgotten_and_no_other(settings: Settings) -> None:
    keys = HostKeys(settings)
    keys.path.parent.mkdir(parents=True, exist_ok=True)
    others = ["192.0.2.1 ssh-ed25519 AAAA ada@home", "192.0.2.2 ssh-ed25519 AAAA deploymachine:other/appnode1"]
    keys.path.write_text("\n".join(others) + "\n")
    keys.pin("appnode1", "192.0.2.3", 22, "ssh-ed25519 AAAA")
    keys.pin("appnode2", "192.0.2.4", 2222, "ssh-ed25519 AAAA")
    keys.unpin_all()
    assert [line.split()[0] for line in keys.path.read_text().splitlines()] == ["192.0.2.1", "192.0.2.2"]


def test_a_server_that_drops_the_first_connection_is_asked_again(ssh_server: SshServer, settings: Settings) -> None:
    ssh_server.drops = 2
    with connect(ssh_server.server, Login("deploy", ssh_server.port), settings) as connection:
        assert connection.run(["true"]).code == 0
    ssh_server.drops = 3
    with pytest.raises(ConnectError, match="could not be logged into"):
        connect(ssh_server.server, Login("deploy", ssh_server.port), settings)


def test_somebody_without_a_key(ssh_server: SshServer, settings: Settings, directory: Path) -> None:
    (directory / "id_ed25519").unlink()
    with pytest.raises(ConnectError, match="You hold none of the keys") as caught:
        connect(ssh_server.server, Login("deploy", ssh_server.port), settings)
    assert "ssh-add" in str(caught.value)


def test_a_server_that_drops_us_amid_its_greeting_shows_nobody_a_traceback() -> None:
    """In a process of its own: what the library logs is shown where nobody has taken that in hand."""
    program = """
import socket, sys
from deploymachine.ssh import _transport
try:
    _transport(socket.create_connection(("127.0.0.1", int(sys.argv[1])))).start_client(timeout=10)
except Exception as error:
    print(type(error).__name__)
"""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        words = [sys.executable, "-c", program, str(listening.getsockname()[1])]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            listening.accept()[0].close()
            assert running.communicate(timeout=60) == ("SSHException\n", "")
