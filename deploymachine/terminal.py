"""A command on a server and the user's terminal in, the two talking to each other until the command ends."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from deploymachine.errors import UsageError
from deploymachine.remote import CHUNK, Gate, Order
from deploymachine.secrets import Secret
from deploymachine.ssh import Connection, broken, cut

if TYPE_CHECKING:
    import paramiko


def talk(connection: Connection, order: Order, password: Secret | None) -> int:
    """Run it with this terminal as its own; its exit code. Raises UsageError where there is no terminal."""
    check()
    size = shutil.get_terminal_size()
    channel = connection.open(
        order.line(connection.login.user), terminal=(os.environ.get("TERM", "vt100"), size.columns, size.lines)
    )
    gate = Gate(connection.server, channel, password)
    try:
        with _raw(sys.stdin.fileno()), _resized(channel):
            _talk(channel, gate)
        return gate.exit_code()
    except broken() as error:
        raise cut(connection.server, error) from None
    finally:
        with suppress(*broken()):
            channel.close()


def check() -> None:
    """Raises UsageError where there is no terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "This needs a terminal: it asks and is answered",
            why="neither a pipe nor a file can answer",
            hint="`fab --help TASK` says how the same can be told beforehand, where it can",
        )


def _talk(channel: paramiko.Channel, gate: Gate) -> None:
    keys, screen = sys.stdin.fileno(), sys.stdout.fileno()
    listening = [channel, keys]
    while True:
        # What is typed ahead waits until the command has begun: it is not meant for sudo.
        ready, _, _ = select.select(listening if gate.open else [channel], [], [])
        if channel in ready:
            data = channel.recv(CHUNK)
            if not data:
                return
            _write(screen, gate.passed(data))
        if keys in ready:
            typed = os.read(keys, CHUNK)
            if typed:
                channel.sendall(typed)
            else:
                listening = [channel]


def _write(screen: int, data: bytes) -> None:
    while data:
        data = data[os.write(screen, data) :]


@contextmanager
def _raw(keys: int) -> Iterator[None]:
    """Every key goes to the server as it is, Ctrl-C too."""
    before = termios.tcgetattr(keys)
    try:
        tty.setraw(keys)
        yield
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)


@contextmanager
def _resized(channel: paramiko.Channel) -> Iterator[None]:
    """A window that is made larger is larger there, too."""

    def tell(*_: object) -> None:
        size = shutil.get_terminal_size()
        with suppress(*broken()):
            channel.resize_pty(size.columns, size.lines)

    before = signal.signal(signal.SIGWINCH, tell)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
