"""A server that comes up in, what it turned into out: looked at until it is ACTIVE, listed, answering or gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from deploymachine.cloud import banner, describe
from deploymachine.cloud.each import Clock
from deploymachine.cloud.words import explained, passing
from deploymachine.errors import CloudError
from deploymachine.inventory import Server
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection

POLLS = (0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 2.0)  # seconds between two looks at a server; then every LAST_POLL
LAST_POLL = 3.0
LISTED_LOOKS = 10
LEAVES_WITHIN = 6  # looks until a server has left the state that it was told to leave
CONSOLE_LINES = 12
# On its way somewhere by itself: to ACTIVE, or to where its end shows.
UNDER_WAY = {"BUILD", "REBUILD", "REBOOT", "HARD_REBOOT", "PASSWORD", "RESIZE", "REVERT_RESIZE", "MIGRATING"}
RUNNING = {"ACTIVE", "VERIFY_RESIZE"}


@dataclass(frozen=True)
class Watch:
    """Looks at servers while they come up."""

    settings: Settings
    connection: Connection

    @property
    def ports(self) -> tuple[int, int]:
        """Where SSH may answer: a bare image listens on 22; provisioning closes that and opens SSH_PORT."""
        return (22, self.settings.SSH_PORT)

    def look(self, name: str, server_id: str, clock: Clock) -> RawServer | None:
        """The server as it is now; None when the cloud has a bad moment and there is still time."""
        with explained(f"{name} was lost sight of while it booted"):
            try:
                return self.connection.compute.get_server(server_id)
            except Exception as error:
                if clock.expired() or not passing(error):
                    raise
                return None

    def until_active(
        self, name: str, server_id: str, clock: Clock, from_states: frozenset[str] = frozenset()
    ) -> RawServer:
        """The server once it runs. Raises CloudError where it ends otherwise.

        from_states: states that it may still be found in for a moment after it was told to leave them.
        """
        status = "BUILD"
        for looks, pause in enumerate(pauses()):
            raw = self.look(name, server_id, clock)
            if raw is not None:
                status = raw.status
                if status in RUNNING:
                    return raw
                leaves = status in from_states and (raw.task_state is not None or looks < LEAVES_WITHIN)
                if raw.task_state == "deleting" or not (status in UNDER_WAY or leaves):
                    raise not_usable(raw)
            if clock.expired():
                break
            clock.sleep(pause)
        raise CloudError(
            f"{name} is still in {status}",
            why=f"after {self.settings.OPENSTACK_BOOT_TIMEOUT} s (OPENSTACK_BOOT_TIMEOUT)",
            hint="run the same command again to go on waiting",
        )

    def until_off(self, name: str, server_id: str, clock: Clock) -> RawServer:
        """The server once it is off. Raises CloudError where it is not, or ends in ERROR."""
        for pause in pauses():
            now = self.look(name, server_id, clock)
            if now is not None and now.status == "SHUTOFF" and now.task_state is None:
                return now
            if now is not None and now.status == "ERROR":
                raise not_usable(now)
            if clock.expired():
                raise CloudError(f"{name} does not stop", where=server_id)
            clock.sleep(pause)
        raise AssertionError  # pauses never end

    def until_addressed(self, raw: RawServer, clock: Clock) -> RawServer:
        """The server once the cloud lists an address of it, or as it is after a while: it learns of ports late."""
        for pause in islice(pauses(), LISTED_LOOKS):
            if raw.addresses and any(raw.addresses.values()):
                break
            clock.sleep(pause)
            raw = self.look(raw.name, raw.id, clock) or raw
        return raw

    def until_listed(self, server: Server, clock: Clock) -> None:
        """Wait until Nova, which learns of floating IPs late, lists the server's: the next command looks there."""
        for pause in islice(pauses(), LISTED_LOOKS):
            raw = self.look(server.name, server.id, clock)
            if raw is not None and describe.server(raw, None, {}).public_ip:
                return
            clock.sleep(pause)

    def until_ssh(self, server: Server, clock: Clock) -> int:
        """The port where an SSH server greets. Raises CloudError with the console's last lines."""
        for pause in pauses():
            if port := banner.answering_port(server.address, self.ports):
                return port
            if clock.expired():
                raise self._silent(server)
            clock.sleep(pause)
        raise AssertionError  # pauses never end

    def _silent(self, server: Server) -> CloudError:
        return CloudError(
            f"{server.name} is ACTIVE but SSH does not answer",
            where=server.where,
            why=f"no SSH server greeted on port {' or '.join(map(str, self.ports))}"
            f" within {self.settings.OPENSTACK_BOOT_TIMEOUT} s (OPENSTACK_BOOT_TIMEOUT)",
            hint="is the address reachable from here (OPENSTACK_FLOATING_IP_POOL, a VPN)? Its console says:",
            evidence=self._console(server.id),
        )

    def _console(self, server_id: str) -> list[str]:
        try:
            return console_lines(self.connection, server_id, CONSOLE_LINES)
        except CloudError as error:
            return [f"no console log: {error.why}"]


def console_lines(connection: Connection, server_id: str, length: int | None = None) -> list[str]:
    """The last `length` lines of the server's console. Raises CloudError."""
    with explained("The console log can't be read"):
        answer = connection.compute.get_server_console_output(server_id, length)
    return str(answer["output"] or "").splitlines()


def pauses() -> Iterator[float]:
    """Seconds to wait between two looks, for ever."""
    yield from POLLS
    while True:
        yield LAST_POLL


def not_usable(raw: RawServer) -> CloudError:
    """What to tell of a server in a state that nothing can be done with from here."""
    if raw.task_state == "deleting":
        return CloudError(f"{raw.name} is being deleted", hint="run the same command again in a moment")
    if raw.status == "ERROR":
        return CloudError(
            f"{raw.name} ended in ERROR",
            where=raw.id,
            why=fault(raw),
            hint=f"`fab openstack_boot {raw.name}` asks (--yes: does not ask), then makes it anew; "
            f"`fab openstack_kill {raw.name}` removes it",
        )
    return CloudError(
        f"{raw.name} is {raw.status}",
        where=raw.id,
        hint=f"bring it back with `openstack server ...` ({raw.id}), or kill it and boot it again",
    )


def fault(raw: RawServer) -> str:
    """Why a server is in ERROR, in the cloud's words."""
    return str((raw.fault or {}).get("message") or "the cloud gives no reason").strip()
