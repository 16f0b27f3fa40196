"""A TLS stream and a plain one in; each gets what the other says, until one of them ends."""

from __future__ import annotations

import select
import socket
import ssl
from contextlib import suppress

CHUNK = 1 << 16


def pump(tls: ssl.SSLSocket, plain: socket.socket) -> None:
    """Pass everything on, both ways at once, and what was said last too. However it ends: who spoke knows whether well.

    One thread alone: a TLS stream may not be read and written at the same time by two.
    """
    with suppress(OSError):
        _pump(tls, plain)
    with suppress(OSError):
        plain.shutdown(socket.SHUT_WR)


def _pump(tls: ssl.SSLSocket, plain: socket.socket) -> None:
    tls.setblocking(False)
    plain.setblocking(False)
    for_tls, for_plain, ended = b"", b"", False
    while not ended:
        if not for_plain:
            for_plain, over = _read(tls)
            ended |= over
        if not for_tls:
            for_tls, over = _read(plain)
            ended |= over
        moved = len(for_tls) + len(for_plain)
        for_plain = for_plain[_write(plain, for_plain) :]
        for_tls = for_tls[_write(tls, for_tls) :]
        if moved == len(for_tls) + len(for_plain) and not ended:
            _wait(tls, plain, for_tls, for_plain)
    for stream, rest in ((plain, for_plain), (tls, for_tls)):
        stream.settimeout(10)
        if rest:
            stream.sendall(rest)


def _read(stream: socket.socket) -> tuple[bytes, bool]:
    """What there is now, and whether nothing more will come."""
    try:
        data = stream.recv(CHUNK)
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return b"", False
    except (ConnectionResetError, ssl.SSLEOFError):
        return b"", True
    return data, not data


def _write(stream: socket.socket, data: bytes) -> int:
    try:
        return stream.send(data) if data else 0
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return 0


def _wait(tls: ssl.SSLSocket, plain: socket.socket, for_tls: bytes, for_plain: bytes) -> None:
    """Until something can be read that there is room for, or written."""
    reading = [stream for stream, held in ((tls, for_plain), (plain, for_tls)) if not held]
    writing = [stream for stream, held in ((tls, for_tls), (plain, for_plain)) if held]
    select.select(reading, writing, [], 60)
