"""Names in, nothing left of those servers out: neither machine, nor address, port or volume."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from deploymachine.cloud import owned
from deploymachine.cloud.each import Clock, on_each, raise_failures
from deploymachine.cloud.progress import FAILED, Progress
from deploymachine.cloud.words import explained, passing, status_of
from deploymachine.errors import CloudError
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection

DELETING, GONE = "DELETING", "GONE"
POLL = 0.7  # seconds


def kill(
    settings: Settings, connection: Connection, names: Sequence[str], raws: Sequence[RawServer], progress: Progress
) -> None:
    """Delete the servers (several may share a name, of some there may be nothing but leftovers) and what they owned.

    Waits until they are gone. Raises CloudError that tells each failure. Interrupted anywhere and repeated it ends the
    same: what belonged to a server bears its name, and is found again when the server itself is gone.
    """
    by_name: dict[str, list[RawServer]] = {name: [] for name in names}
    for raw in raws:
        by_name[raw.name].append(raw)

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


def delete_and_wait(connection: Connection, raws: Iterable[RawServer], clock: Clock) -> None:
    """Delete servers and wait until the cloud knows them no more. Raises CloudError."""
    raws = list(raws)
    for raw in raws:
        with explained(f"{raw.name} can't be deleted", raw.id):
            connection.compute.delete_server(raw.id)
    for raw in raws:
        _until_gone(connection, raw, clock)


def _remove(settings: Settings, connection: Connection, name: str, raws: Iterable[RawServer], clock: Clock) -> None:
    clock.check()
    delete_and_wait(connection, raws, clock)
    owned.release(connection, settings, name, clock)


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
