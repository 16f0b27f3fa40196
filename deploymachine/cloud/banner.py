"""An address in, whether an SSH server answers there out."""

from __future__ import annotations

import socket
from collections.abc import Iterable

ANSWER_WITHIN = 3.0  # seconds for one try


def answering_port(address: str, ports: Iterable[int], within: float = ANSWER_WITHIN) -> int | None:
    """The first of `ports` where something greets as an SSH server does; None when none does."""
    return next((port for port in ports if _greets(address, port, within)), None)


def _greets(address: str, port: int, within: float) -> bool:
    try:
        with socket.create_connection((address, port), timeout=within) as connection:
            connection.settimeout(within)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
