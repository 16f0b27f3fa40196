"""A server that answers SSH in, whether its cloud-init is done with the first boot out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from deploymachine.cloud.each import Clock
from deploymachine.errors import ConnectError, HostKeyError, LoginError, UnknownHostKeyError
from deploymachine.inventory import Server

if TYPE_CHECKING:
    from deploymachine.settings import Settings
    from deploymachine.ssh import Connection

ROUND = 50  # looks of 0.2 s in one command on the server
LOOKS = 5  # sshd may show an image's own key before cloud-init has put ours there, and is gone while that restarts it
PAUSE = 1.0  # seconds
# Ends at once without cloud-init, or where it has nothing to do; 3: not done yet.
SCRIPT = f"""
command -v cloud-init >/dev/null || exit 0
looks=0
until [ -s /run/cloud-init/result.json ] || [ -e /run/cloud-init/disabled ]; do
    looks=$((looks + 1))
    [ $looks -gt {ROUND} ] && exit 3
    sleep 0.2
done
cat /run/cloud-init/result.json 2>/dev/null || true
"""


def until_done(server: Server, port: int, settings: Settings, clock: Clock) -> list[str]:
    """Log in and wait until cloud-init is done; returns what it complains of, as warnings.

    Where nobody here holds a key that the server knows, that SSH answers has to do. Raises HostKeyError for a server
    that shows another host key than the one made for it.
    """
    from deploymachine.ssh import Login, connect, login

    way = login(server, settings) if port == settings.SSH_PORT else Login("root", port)
    for looks in range(LOOKS + 1):
        try:
            with connect(server, way, settings) as connection:
                return _ask(server, connection, clock)
        except (UnknownHostKeyError, LoginError):
            return []
        except ConnectError as error:
            if looks == LOOKS or clock.expired():
                if isinstance(error, HostKeyError):
                    raise
                return []
            clock.sleep(PAUSE)
    raise AssertionError  # the last turn returns or raises


def _ask(server: Server, connection: Connection, clock: Clock) -> list[str]:
    while True:
        done = connection.run(["sh", "-c", SCRIPT])
        if done.code != 3:
            return [f"cloud-init on {server.name} says: {error}" for error in _complaints(done.output)]
        clock.check()
        if clock.expired():
            return [f"cloud-init on {server.name} is not done yet"]


def _complaints(result: str) -> list[str]:
    try:
        told: Any = json.loads(result or "{}")
    except ValueError:
        return []
    return [str(error) for error in told.get("v1", {}).get("errors", [])]
