"""A real SSH server on loopback that lets one key in and runs what it is told on this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import paramiko

from deploymachine.inventory import Server


@dataclass
class SshServer:
    """A real SSH server on loopback; `commands` are run here, with `path` first on PATH."""

    server: Server
    port: int
    host_key: paramiko.PKey
    environment: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    cut_after: int | None = None  # bytes of output after which the connection is cut
    drops: int = 0  # so many connections are dropped without a word

    @property
    def key_line(self) -> str:
        return f"{self.host_key.get_name()} {self.host_key.get_base64()}"


class _Policy(paramiko.ServerInterface):
    def __init__(self, ours: SshServer, allowed: bytes) -> None:
        self.ours, self.allowed = ours, allowed

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if key.asbytes() == self.allowed else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.ours.commands.append(command.decode())
        threading.Thread(target=_carry_out, args=(self.ours, channel, command.decode()), daemon=True).start()
        return True


def _carry_out(ours: SshServer, channel: paramiko.Channel, command: str) -> None:
    pipe = subprocess.PIPE
    shell = ["/bin/sh", "-c", command]
    with subprocess.Popen(shell, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe, env=ours.environment) as process:
        threads = [
            threading.Thread(target=_feed, args=(channel, process), daemon=True),
            threading.Thread(target=_copy, args=(process.stderr, channel.sendall_stderr), daemon=True),
        ]
        for thread in threads:
            thread.start()
        with contextlib.suppress(OSError, EOFError):
            _answer(ours, channel, process)
            threads[1].join()
            channel.send_exit_status(process.wait())
        process.kill()
        process.stdout.close()  # as sshd does, too: who goes on writing learns that nobody reads
        with contextlib.suppress(OSError, EOFError):
            channel.close()
        for thread in threads:
            thread.join()


def _answer(ours: SshServer, channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    sent = 0
    while data := os.read(process.stdout.fileno(), 1 << 16):
        channel.sendall(data)
        sent += len(data)
        if ours.cut_after is not None and sent > ours.cut_after:
            channel.get_transport().close()


def _feed(channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError, EOFError):
        while data := channel.recv(1 << 16):
            process.stdin.write(data)
        process.stdin.close()


def _copy(stream, send: Callable[[bytes], None]) -> None:
    with contextlib.suppress(OSError, EOFError):
        while data := os.read(stream.fileno(), 1 << 16):
            send(data)


def serve(listener: socket.socket, ours: SshServer, allowed: bytes, transports: list[paramiko.Transport]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        if ours.drops:
            ours.drops -= 1
            connection.close()
            continue
        transport = paramiko.Transport(connection)
        transport.add_server_key(ours.host_key)
        transports.append(transport)
        try:
            transport.start_server(server=_Policy(ours, allowed))
        except (paramiko.SSHException, EOFError, OSError):
            transport.close()
