"""Whether a server is gone: one that is off, or does not answer; not one that lets us not in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ssh_server import SshServer

from deploymachine.errors import HostKeyError
from deploymachine.hostkeys import HostKeys
from deploymachine.servertypes import Deployment
from deploymachine.split.reach import reached


def test_one_that_answers_and_one_that_is_gone(ssh_server: SshServer, deployment: Deployment) -> None:
    there = replace(ssh_server.server, port=ssh_server.port)
    assert reached(there, deployment)
    assert not reached(replace(there, state="SHUTOFF"), deployment)
    HostKeys(deployment.settings).pin("appnode1", "127.0.0.1", 1, ssh_server.key_line)
    assert not reached(replace(there, port=1), deployment)


def test_one_that_shows_another_key_is_not_taken_for_gone(ssh_server: SshServer, deployment: Deployment) -> None:
    pinned = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG9uZSB0aGF0IGlzIG5vdCB0aGUgc2VydmVycyBrZXk="
    HostKeys(deployment.settings).pin("appnode1", "127.0.0.1", ssh_server.port, pinned)
    with pytest.raises(HostKeyError):
        reached(replace(ssh_server.server, port=ssh_server.port), deployment)
