"""Names in, nothing left of those servers out: neither machine, nor address, nor pinned key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from deploymachine.cloud import floating
from deploymachine.cloud.boot import FAILED, Progress
from deploymachine.cloud.each import Clock, on_each, raise_failures
from deploymachine.cloud.words import explained, passing, status_of
from deploymachine.errors import CloudError
from deploymachine.hostkeys import HostKeys
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection

DELETING, GONE = "DELETING", "GONE"
POLL = 0.7  # seconds


def kill(settings: Settings, connection: Connection, raws: Sequence[RawServer], progress: Progress) -> None:
    """Delete the servers (several may share a name) and what they owned; waits until they are gone.

    Raises CloudError that tells each failure. Interrupted anywhere and repeated it ends the same.
    """
    by_name: dict[str, list[RawServer]] = {}
    for raw in raws:
        by_name.setdefault(raw.name, []).append(raw)

    def remove(name: str, clock: Clock) -> None:
        try:
            progress(name, DELETING)
            _remove(settings, connection, name, by_name[name], clock)
            progress(name, GONE)
        except Exception:
            progress(name, FAILED)
            raise

    outcomes = on_each(list(by_name), remove, settings.OPENSTACK_BOOT_TIMEOUT)
    raise_failures("could not be deleted", len(by_name), outcomes.errors)


def _remove(settings: Settings, connection: Connection, name: str, raws: Iterable[RawServer], clock: Clock) -> None:
    clock.check()
    # The address goes first: once the server is gone nobody would look for it again.
    floating.release(connection, floating.owner_mark(settings.DEPLOYMENT, name))
    for raw in raws:
        with explained(f"{name} can't be deleted", raw.id):
            connection.compute.delete_server(raw.id)
    for raw in raws:
        _until_gone(connection, raw, clock)
    HostKeys(settings).unpin(name)


def _until_gone(connection: Connection, raw: RawServer, clock: Clock) -> None:
    while _is_there(connection, raw, clock):
        if clock.expired():
            raise CloudError(
                f"{raw.name} does not go away", where=raw.id, hint="run the same command again, or ask the cloud"
            )
        clock.sleep(POLL)


def _is_there(connection: Connection, raw: RawServer, clock: Clock) -> bool:
    with explained(f"{raw.name} was lost sight of while it was deleted", raw.id):
        try:
            now = connection.compute.get_server(raw.id)
        except Exception as error:
            if status_of(error) == 404:
                return False
            if clock.expired() or not passing(error):
                raise
            return True
    if now.status == "ERROR" and now.task_state is None and raw.status != "ERROR":
        raise CloudError(
            f"{raw.name} could not be deleted", where=raw.id, why=str((now.fault or {}).get("message", ""))
        )
    return str(now.status) not in ("DELETED", "SOFT_DELETED")
