"""The files that a site's releases share, uploads above all: moved to another server, and proven to be there.

They go straight from one server to the other, over TLS in the private network. Nothing that lets in anybody is left on
either: both are known to each other by certificates of the deployment's own authority for as long as it takes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from deploymachine import authority, ssh
from deploymachine.converge import Event, Result, run
from deploymachine.cook import ask, checked, cook, on_all, sudo_password
from deploymachine.errors import ConvergeError
from deploymachine.inventory import Server
from deploymachine.servertypes._site import place
from deploymachine.split import queues
from deploymachine.split.part import Moving, Size, Switched
from deploymachine.split.reach import reached

PORT = 4403
Places = list[dict[str, str]]  # name, user and root of each; "folder" where it is not what releases share


def measure(moving: Moving) -> Size:
    """What lies in shared/ of all sites on the old server, but for what a cook or a release puts there."""
    sites = _measured(moving.old, moving)
    files, size = (sum(one[key] for one in sites.values()) for key in ("files", "bytes"))
    return Size(size, f"{_counted(files)} that {_sites(sites)} share{'s' if len(sites) == 1 else ''}")


def prepare(moving: Moving) -> None:
    """Have the files there as they are now; a later pass brings only what has changed. Repeatable.

    Nobody may write on the new server yet: what is not on the old one any more goes there, too.
    """
    cook([moving.old, moving.new], moving.deployment, moving.report, phase="rsync", recipes=("base.rsync",))
    passed(moving, _places(moving), _places(moving), mirror=True)


def switch(moving: Moving) -> Switched:
    """Bring what has changed since; newer files on the new server stay, and nothing is removed there. Repeatable:
    once more when nobody writes on the old server any more, it brings what came last. CRON goes along."""
    queues.follow(moving)
    passed(moving, _places(moving), _places(moving))
    lacking = passed(moving, _places(moving), _places(moving), dry=True)
    if left := {name: one["sent"] for name, one in lacking.items() if one["sent"]}:
        raise ConvergeError(
            f"{moving.new.name} has not all files that {moving.old.name} has",
            where=moving.new.where,
            why=", ".join(f"{name}: {count} are missing or older" for name, count in left.items()),
            hint="files change as fast as they are copied: try again when the sites are quieter",
        )
    return Switched(0.0, tuple(_proof(moving)))


def back(moving: Moving) -> None:
    """Bring what came to the new server meanwhile to the old one. Where it is gone, that is, too."""
    if reached(moving.new, moving.deployment):
        switch(moving.reverse)
    else:
        queues.follow(moving.reverse)


def finish(moving: Moving) -> None:
    """Nothing: the files go with the sites, when `leaving` removes those, or with the server."""


def passed(moving: Moving, there: Places, here: Places, *, mirror: bool = False, dry: bool = False) -> dict[str, Event]:
    """One pass: the old server offers what is there, the new one takes it here. Name -> {"sent", "gone", "bytes"}."""
    if not there:
        return {}
    old, new = moving.old, moving.new
    _open_in_cloud(moving)
    asks = {"name": new.name, "address": new.private_ip}
    peer: dict[str, Any] = {"name": old.name, "address": old.private_ip, "port": PORT}
    # Made one after the other, before both are spoken to at once: certificates that are not there yet are made now.
    sides = [
        (old, {"action": "offer", "peer": asks, "listen": peer, "sites": there}),
        (new, {"action": "take", "peer": peer, "sites": here}),
    ]
    offer, take = (_request(moving, server, {**side, "mirror": mirror, "dry": dry}) for server, side in sides)
    ready, offering = threading.Event(), threading.Event()

    def show(server: Server, event: Event) -> None:
        if event["event"] == "offering":
            offering.set()
            ready.set()
        else:
            moving.report.event(server, event)

    def one(server: Server) -> Result:
        if server == new:
            ready.wait()
            return _asked(moving, new, take, show) if offering.is_set() else Result("skipped")
        try:
            return _asked(moving, old, offer, show)
        finally:
            ready.set()

    both = on_all([old, new], moving.report, one)
    return dict(both[1].result["sites"])


def _asked(moving: Moving, server: Server, request: Event, show: Callable[[Server, Event], None]) -> Result:
    """Have a server do its side."""
    here = moving.deployment
    moving.report.phase(server, "files")
    with ssh.connect(server, ssh.login(server, here.settings), here.settings) as there:
        return checked(run(there, request, show, sudo_password=sudo_password(server, here)))


def _request(moving: Moving, server: Server, more: Event) -> Event:
    return {
        "command": "media",
        "host": server.name,
        "identity": authority.server_certificate(server, moving.deployment),
        "patience": moving.patience,
        **more,
    }


def _open_in_cloud(moving: Moving) -> None:
    """The servers' own firewall opens by itself; the cloud's security group has to be told."""
    if not moving.old.id:
        return
    from deploymachine.cloud import connect

    until = datetime.now(timezone.utc) + timedelta(seconds=moving.patience)
    address = moving.new.private_ip
    source = f"{address}/{128 if ':' in address else 32}"
    cloud = connect(moving.deployment.settings)
    try:
        kind = cloud.servers().named(moving.old.name).type  # by what the cloud takes it for, it has its groups
        cloud.open_for_a_while([kind], PORT, "tcp", [source], until)
    finally:
        cloud.close()


def _measured(server: Server, moving: Moving) -> dict[str, Any]:
    here = moving.deployment
    request = {"command": "media", "action": "measure", "host": server.name, "sites": _places(moving)}
    with ssh.connect(server, ssh.login(server, here.settings), here.settings) as there:
        return dict(ask(there, request, sudo_password(server, here))["sites"])


def _places(moving: Moving) -> Places:
    return [{"name": name, **place(name)} for name in moving.deployment.settings.SITES]


def _proof(moving: Moving) -> list[str]:
    old, new = _measured(moving.old, moving), _measured(moving.new, moving)
    return [
        f"files of {name}: {_counted(old[name]['files'])}, {old[name]['bytes']} bytes on {moving.old.name};"
        f" {_counted(new[name]['files'])}, {new[name]['bytes']} bytes on {moving.new.name}, none missing or older"
        for name in old
    ]


def _counted(files: int) -> str:
    return "1 file" if files == 1 else f"{files} files"


def _sites(sites: dict[str, Any]) -> str:
    return ", ".join(sites) or "no site"
