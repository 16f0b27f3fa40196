"""An address in, the port where an SSH server answers there out."""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections.abc import Iterable
from contextlib import ExitStack

ANSWER_WITHIN = 3.0  # seconds for one try


def answering_port(address: str, ports: Iterable[int], within: float = ANSWER_WITHIN) -> int | None:
    """One of `ports` where something greets as an SSH server does; None when none does `within` that many seconds.

    All are tried at once: a firewall that swallows packets to one must not hold up the other.
    """
    deadline = time.monotonic() + within
    with selectors.DefaultSelector() as waiting, ExitStack() as opened:
        for port in ports:
            attempt = opened.enter_context(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
            attempt.setblocking(False)
            if attempt.connect_ex((address, port)) in (0, errno.EINPROGRESS):
                waiting.register(attempt, selectors.EVENT_READ, port)  # also told when the connection is refused
        while waiting.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in waiting.select(left):
                if isinstance(key.fileobj, socket.socket) and _greets(key.fileobj):
                    return int(key.data)
                waiting.unregister(key.fileobj)
    return None


def _greets(connection: socket.socket) -> bool:
    try:
        return connection.recv(4) == b"SSH-"
    except OSError:
        return False
