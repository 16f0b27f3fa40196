"""What the sites keep in Redis: copied to another server, which then leads, and no write and no expiry is lost.

There is no pause. The new one copies the old one, and from the moment of the switch takes writes of its own besides.
The sites are told of it, some sooner, some later; what the later ones write to the old one arrives by the copy. When
no process knows the old one any more, the new one copies nobody, and the old one copies it.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from deploymachine import ssh
from deploymachine.converge import Event
from deploymachine.cook import ask, cook, on_all, sudo_password
from deploymachine.errors import ConvergeError, DeployMachineError
from deploymachine.inventory import Server
from deploymachine.rotation_plans import sites as sites_on
from deploymachine.secrets import Secret
from deploymachine.servertypes import Deployment, _database, cachenode
from deploymachine.split.asking import done, wait_for_the_last
from deploymachine.split.part import Moving, Size, Switched
from deploymachine.split.reach import reached

AUTHORITY = "/etc/redis/tls/authority.pem"
POLL = 0.5  # seconds
GIVE_UP = 180.0  # that a site's processes may take until none of them knows the old one
CATCH_UP = 20.0


def measure(moving: Moving) -> Size:
    """What the old one holds."""
    told = _look(moving.old, moving.deployment)
    return Size(int(told["bytes"]), f"{told['keys']} keys in the cache")


def prepare(moving: Moving) -> None:
    """Have the new one copy the old one, and wait until it has all. Repeatable.

    Raises ConvergeError where it has not within `moving.patience`.
    """
    until, old = time.monotonic() + moving.patience, moving.old
    if _look(moving.new, moving.deployment)["of"] != old.private_ip:
        cook([moving.new], moving.deployment, moving.report, recipes=("redis",))
    while True:
        wanted = _look(old, moving.deployment)["offset"]  # it is written to while we look
        told = _look(moving.new, moving.deployment)
        lacking = wanted - told["applied"]
        if told["of"] == old.private_ip and told["link"] == "up" and not told["syncing"] and lacking <= 0:
            return
        if time.monotonic() > until:
            raise _behind(moving, told, lacking)
        time.sleep(POLL)


def switch(moving: Moving) -> Switched:
    """Have the sites use the new one, then have it lead. Repeatable; where it fails, the sites use the old one."""
    handed, new = moving.handed, moving.new
    now = _look(new, handed)
    if now["role"] == "slave":
        prepare(moving)
        try:
            _ask(new, moving, "open")
            _tell_sites(handed, moving)
            _wait_for_the_last(moving)
            now = _ask(new, moving, "lead", offset=_look(moving.old, handed)["offset"], seconds=CATCH_UP)
        except DeployMachineError:
            _take_back(moving)
            raise
    before = _look(moving.old, handed)
    _tell_sites(handed, moving)
    # The new one first: whoever copies it has to find one that leads.
    for server in (new, moving.old):
        cook([server], handed, moving.report, phase="cache", recipes=("redis",))
    return Switched(0.0, (_proof(moving, before, now),))


def back(moving: Moving) -> None:
    """Have the old one lead again, with all that was written since; without that where the new one is gone."""
    before = moving.reverse.handed
    if not reached(moving.new, before):
        _tell_sites(before, moving, but=moving.new)
        cook([moving.old], before, moving.report, phase="cache", recipes=("redis",))
        return
    roles = {_look(server, before)["role"] for server in (moving.old, moving.new)}
    if roles == {"master"}:  # cut off in between: the sites write to the new one
        cook([moving.old], moving.handed, moving.report, phase="cache", recipes=("redis",))
    switch(moving.reverse)


def finish(moving: Moving) -> None:
    """Nothing: what the old one holds goes with Redis, when `leaving` removes that, or with the server."""


def _proof(moving: Moving, before: Event, now: Event) -> str:
    return (
        f"cache: {before['keys']} keys on {moving.old.name}, {before['expiring']} of them with a time to live;"
        f" {now['keys']} and {now['expiring']} on {moving.new.name}"
    )


def _take_back(moving: Moving) -> None:
    """The sites as they were, and the new one a mere copy again; what can't be told now is told by `--abort`."""
    try:
        _tell_sites(moving.deployment, moving)
        _ask(moving.new, moving, "close")
    except DeployMachineError as error:
        moving.report.phase(moving.new, f"not put back: {error.what}")


def _tell_sites(deployment: Deployment, moving: Moving, but: Server | None = None) -> None:
    """Have those who run sites know where their cache is; gunicorn and Celery take it in without losing anything."""
    for servers, recipes in sites_on([node for node in _database.nodes(deployment) if node != but]):
        cook(servers, deployment, moving.report, phase="tell sites", recipes=recipes)


def _wait_for_the_last(moving: Moving) -> None:
    """Until no process on any server knows the old one. Raises ConvergeError with those that do in the end."""
    password = quote(moving.deployment.secrets.password("cache"), safe="")
    known = Secret(f"{password}@{moving.old.private_ip}:{cachenode.PORT}/")
    nodes = _database.nodes(moving.deployment)
    wait_for_the_last([known], nodes, moving, seconds=GIVE_UP, use=f"use the cache on {moving.old.name}")


def _ask(server: Server, moving: Moving, action: str, **more: Any) -> Event:
    """Have a server's Redis do something, shown."""
    moving.report.phase(server, f"cache: {action}")
    request = {"command": "caches", "action": action, "login": _login(moving.deployment), **more}
    return on_all([server], moving.report, lambda one: done(one, request, moving))[0].result


def _look(server: Server, deployment: Deployment) -> Event:
    request = {"command": "caches", "action": "state", "host": server.name, "login": _login(deployment)}
    with ssh.connect(server, ssh.login(server, deployment.settings), deployment.settings) as there:
        return ask(there, request, sudo_password(server, deployment))


def _login(deployment: Deployment) -> Event:
    return {
        "user": f"{deployment.settings.DEPLOYMENT}.keeper",
        "password": deployment.secrets.password("cache-keeper"),
        "port": cachenode.PORT,
        "authority": AUTHORITY if deployment.settings.PRIVATE_TLS else None,
    }


def _behind(moving: Moving, told: Event, lacking: int) -> ConvergeError:
    return ConvergeError(
        f"The cache on {moving.new.name} does not catch up with that on {moving.old.name}",
        where=moving.new.where,
        why=f"after {moving.patience:.0f} s it lacks {lacking} bytes; its link is {told['link'] or 'none'}",
        hint=f"`fab server:{moving.new.name} logs` tells more; nothing was switched",
    )
