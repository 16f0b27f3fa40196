"""A server whose way in has just changed, in; a second connection made in that very way, or an error, out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from deploymachine.errors import ConnectError, ConvergeError, DeployMachineError, HostKeyError
from deploymachine.inventory import Server
from deploymachine.ssh import Connection, Login, connect

if TYPE_CHECKING:
    from deploymachine.settings import Settings

RELOADING_FOR = (0.2, 0.5, 1.0, 2.0)  # seconds


def connect_anew(server: Server, login: Login, settings: Settings) -> Connection:
    """Log in at an sshd that was just told to reload.

    For a moment, longer on a busy machine, it still shows the key it had before, or listens nowhere.
    """
    for pause in RELOADING_FOR:
        try:
            return connect(server, login, settings)
        except ConnectError as error:
            if not isinstance(error, HostKeyError) and not isinstance(error.__context__, ConnectionRefusedError):
                raise
            time.sleep(pause)
    return connect(server, login, settings)


def not_proven(server: Server, login: Login, error: DeployMachineError) -> ConvergeError:
    """The error for a way in that was tried, did not work and was put back."""
    return ConvergeError(
        f"The new way into {server.name} does not work; everything was put back",
        where=f"{login.user}@{server.address} port {login.port}",
        why="\n".join(text for text in (error.what, error.why) if text),
        hint=f"port {login.port} must be open in the firewall and the cloud's security group, your key let you in\n"
        f"as {login.user}, and sudo take its password: mend the settings or the recipe that changed this",
    )
