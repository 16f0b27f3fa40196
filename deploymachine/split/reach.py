"""A server in; out comes whether it lets us in, so that a way back does not wait for one that is gone."""

from __future__ import annotations

from deploymachine import ssh
from deploymachine.errors import ConnectError
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment


def reached(server: Server, deployment: Deployment) -> bool:
    """Whether we can log in there. Raises LoginError, HostKeyError: it is there, and something else is wrong."""
    if server.state not in ("", "ACTIVE"):
        return False
    try:
        ssh.connect(server, ssh.login(server, deployment.settings), deployment.settings).close()
    except ConnectError as error:
        if type(error) is not ConnectError:
            raise
        return False
    return True
