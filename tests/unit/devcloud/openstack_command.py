"""The unmodified `openstack` command in this process: starting one of its own would cost two seconds."""

from __future__ import annotations

import contextlib
import io


def openstack(argv: list[str]) -> str:
    """What it prints."""
    from openstackclient import shell
    from openstackclient.common.clientmanager import ClientManager
    from osc_lib.clientmanager import ClientCache

    for kept in [kept for owner in ClientManager.__mro__ for kept in vars(owner).values()]:
        if isinstance(kept, ClientCache):
            kept._handle = None  # a connection, which a new process would not have
    told, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(errors):
        code = shell.main(argv)
    assert code == 0, errors.getvalue()
    return told.getvalue()
