"""Servers as the cloud tells them in, what a boot has to do about each out, and the doing of what destroys nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING

from deploymachine.cloud.watch import RUNNING, UNDER_WAY, fault, not_usable
from deploymachine.cloud.words import explained
from deploymachine.errors import CloudError
from deploymachine.inventory import moment

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection


class Do(Enum):
    """What a boot does about a server that is named."""

    MAKE = "make"  # it is not there
    KEEP = "keep"  # it runs: see to its address, groups and volumes
    WAIT = "wait"  # it is on its way
    WAKE = "wake"  # it was stopped: start it
    REVIVE = "revive"  # it ran once and is in ERROR now: reboot it hard, make it anew only where that is agreed to
    REMAKE = "remake"  # it never ran, and never will: make it anew where that is agreed to
    AWAIT_END = "await its end"  # it is being deleted: make it anew once it is gone
    TELL = "tell"  # only a person can say


HINT_NOT_REVIVED = (
    "a hard reboot did not bring it back. `fab openstack_boot {name} --yes` makes it anew; all that is on its own disk"
    " is lost then, volumes that are kept come back"
)
WAKES = {  # state -> the action that leads out of it
    "SHUTOFF": "start_server",
    "PAUSED": "unpause_server",
    "SUSPENDED": "resume_server",
    "SHELVED": "unshelve_server",
    "SHELVED_OFFLOADED": "unshelve_server",
}


@dataclass(frozen=True)
class Case:
    """What to do about one server. twins: half-made servers of the same name, which have to go."""

    do: Do
    raw: RawServer | None = None
    why: str = ""
    twins: tuple[RawServer, ...] = ()

    @property
    def doomed(self) -> tuple[RawServer, ...]:
        """The servers that go for certain when it is agreed to."""
        return (*self.twins, *((self.raw,) if self.do is Do.REMAKE and self.raw is not None else ()))


def verdict(found: Sequence[RawServer], patience: float, now: datetime) -> Case:
    """What to do, given the servers of one name. patience: seconds one may take to build. Raises CloudError. Pure."""
    found = [raw for raw in found if not _goes(raw)] or found  # those that go are in nobody's way
    ran = [raw for raw in found if _ever_ran(raw)]
    if len(ran) > 1:
        raise _two_of_a_name(ran)
    # Where an answer of the cloud got lost there may be a second one: the one that ran stays, else the oldest.
    first = next(iter([*ran, *sorted(found, key=lambda raw: str(raw.created_at))]), None)
    if first is None:
        return Case(Do.MAKE)
    do, why = _about(first, patience, now)
    return Case(do, first, why, tuple(raw for raw in found if raw.id != first.id))


def _about(raw: RawServer, patience: float, now: datetime) -> tuple[Do, str]:
    if _goes(raw):
        return Do.AWAIT_END, ""
    if raw.status in RUNNING:
        return (Do.KEEP, "") if raw.task_state is None else (Do.WAIT, "")
    if raw.status == "BUILD" and (age := _age(raw, now)) > patience:
        return Do.REMAKE, f"it has been in BUILD for {age:.0f} s (OPENSTACK_BOOT_TIMEOUT is {patience:.0f})"
    if raw.status in UNDER_WAY:
        return Do.WAIT, ""
    if raw.status in WAKES:
        return Do.WAKE, ""
    if raw.status == "ERROR":
        return (Do.REVIVE if _ever_ran(raw) else Do.REMAKE), fault(raw)
    return Do.TELL, ""


def question(name: str, case: Case) -> str | None:
    """What has to be agreed to before anything is destroyed, naming what is lost; None where nothing is."""
    if case.do is Do.REVIVE:
        return (
            f"{name} ran once and is in ERROR now ({case.why}). A hard reboot is tried first. Should that not help, is"
            " it to be deleted and made anew? All that is on its disk is lost then; volumes that are kept come back."
        )
    if case.do is Do.REMAKE and case.raw is not None:
        return f"{name} never ran, nothing is lost with it: {case.why}. Delete it and make it anew?"
    if case.twins:
        return f"There is a second {name} ({case.twins[0].id}) that never ran. Delete that one?"
    return None


def wake(connection: Connection, raw: RawServer) -> None:
    """Tell a stopped server to go on. Raises CloudError."""
    action: Callable[[str], None] = getattr(connection.compute, WAKES[raw.status])
    with explained(f"{raw.name} is {raw.status} and can't be started", raw.id):
        action(raw.id)


def reboot(connection: Connection, raw: RawServer) -> None:
    """Reboot a server hard, which brings many out of ERROR. Raises CloudError."""
    with explained(f"{raw.name} is in ERROR and can't be rebooted", raw.id):
        connection.compute.reboot_server(raw.id, "HARD")


def replug(connection: Connection, raw: RawServer, network_ids: Iterable[str]) -> bool:
    """Give a server that lost its ports new ones, one on each network; False where it has one. Raises CloudError."""
    with explained(f"{raw.name} gets no port", raw.id):
        if next(iter(connection.network.ports(device_id=raw.id)), None) is not None:
            return False
        for network_id in network_ids:
            connection.compute.create_server_interface(raw.id, net_id=network_id)
        return True


def unhealed(case: Case) -> CloudError:
    """What to tell where it was not agreed to destroy something."""
    if case.raw is None or not case.doomed:
        raise ValueError(case)
    if case.raw.status == "ERROR":
        return not_usable(case.raw)
    if case.do is Do.REMAKE:
        what = f"{case.raw.name} was not made anew"
    else:
        what = f"There are two servers {case.raw.name!r} in this deployment"
    return CloudError(what, where=case.doomed[0].id, why=case.why or None, hint="say yes, or --yes, to have it deleted")


def _goes(raw: RawServer) -> bool:
    return raw.task_state == "deleting" or raw.status in ("DELETED", "SOFT_DELETED")


def _ever_ran(raw: RawServer) -> bool:
    return bool(raw.launched_at) or raw.status not in ("BUILD", "ERROR")


def _age(raw: RawServer, now: datetime) -> float:
    made = moment(str(raw.created_at or ""))
    return (now - made).total_seconds() if made is not None else 0.0


def now() -> datetime:
    """The time, as servers' ages are reckoned."""
    return datetime.now(timezone.utc)


def _two_of_a_name(found: Sequence[RawServer]) -> CloudError:
    name = found[0].name
    return CloudError(
        f"There are two servers {name!r} in this deployment",
        why=f"their ids: {' and '.join(str(raw.id) for raw in found)}",
        hint=f"`fab openstack_kill {name}` removes both, or delete one by its id",
    )
