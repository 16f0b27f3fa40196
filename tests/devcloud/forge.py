"""Whoever keeps a site's repository: a real SSH server on this machine that lets in those keys it was told of."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko

from deploymachine.inventory import Server
from tests.unit.control.ssh_server import SshServer, serve


@contextmanager
def forge(address: str, home: Path) -> Iterator[tuple[int, str, Callable[[str], None]]]:
    """Its port at an address of this machine, its host key's line, and how it is told whom to let in (a line)."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home)}
    (home / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")
    ours = SshServer(Server("forge", "appnode", address), 0, paramiko.ECDSAKey.generate(), environment)
    allowed, transports = bytearray(), list[paramiko.Transport]()
    with socket.create_server((address, 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, ours, allowed, transports), daemon=True)
        thread.start()

        def let_in(public: str) -> None:
            allowed[:] = base64.b64decode(public.split()[1])

        try:
            yield listener.getsockname()[1], ours.key_line, let_in
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for transport in transports:
                transport.close()
