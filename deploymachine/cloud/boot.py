"""Boot specs in, servers that answer SSH out: what exists is kept, all is looked up before anything is made."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from deploymachine import adminkeys
from deploymachine.cloud import banner, describe, floating, groups, lookup, userdata
from deploymachine.cloud.each import Clock, on_each, raise_failures
from deploymachine.cloud.specs import BootSpec
from deploymachine.cloud.words import explained, passing, status_of
from deploymachine.errors import CloudError
from deploymachine.hostkeys import HostKeys, locked
from deploymachine.inventory import Server
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.flavor import Flavor
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection
    from openstack.image.v2.image import Image
    from openstack.network.v2.network import Network

Progress = Callable[[str, str], None]  # (server name, phase)
EXISTS, BUILD, ACTIVE, SSH, FAILED = "exists", "BUILD", "ACTIVE", "SSH", "failed"
POLLS = (0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 2.0)  # seconds between two looks at a server; then every LAST_POLL
LAST_POLL = 3.0
LISTED_LOOKS = 10
CONSOLE_LINES = 12


@dataclass(frozen=True)
class Plan:
    """What every new server of one boot shares: ids looked up in the cloud."""

    images: dict[str, Image]
    flavors: dict[str, Flavor]
    network_id: str
    pool: Network | None
    group_id: str
    admin_keys: tuple[str, ...]


class Booting:
    """One boot of several servers."""

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        list_raw: Callable[[], list[RawServer]],
        progress: Progress,
        *,
        wait_for_ssh: bool,
    ) -> None:
        self.settings = settings
        self.connection = connection
        self.list_raw = list_raw
        self.progress = progress
        self.wait_for_ssh = wait_for_ssh
        self.hostkeys = HostKeys(settings)
        self.warnings: list[str] = []

    def run(self, specs: Sequence[BootSpec]) -> list[Server]:
        """Every server up, in the order of `specs`. Raises CloudError that tells each failure."""
        # Two boots at once would each find the other's servers missing.
        with locked(self.settings.state / "boot.lock"):
            return self._run({spec.name: spec for spec in specs})

    def _run(self, by_name: dict[str, BootSpec]) -> list[Server]:
        existing = _unique(raw for raw in self.list_raw() if raw.name in by_name)
        plan = self._plan([spec for spec in by_name.values() if spec.name not in existing])

        def bring_up(name: str, clock: Clock) -> Server:
            try:
                raw = existing.get(name)
                return self._kept(raw, plan, clock) if raw is not None else self._made(by_name[name], plan, clock)
            except Exception:
                self.progress(name, FAILED)
                raise

        outcomes = on_each(list(by_name), bring_up, self.settings.OPENSTACK_BOOT_TIMEOUT)
        raise_failures("did not come up", len(by_name), outcomes.errors)
        return [outcomes.results[name] for name in by_name]

    def _plan(self, new: Sequence[BootSpec]) -> Plan:
        settings, connection = self.settings, self.connection
        wanted_images = {spec.image or settings.OPENSTACK_IMAGE for spec in new}
        pool = settings.OPENSTACK_FLOATING_IP_POOL
        admin_keys = adminkeys.read(settings) if new else ()
        flavors = lookup.flavors(connection, {spec.flavor for spec in new}) if new else {}
        images = {image: lookup.image(connection, image) for image in wanted_images}
        network_id = lookup.network(connection, settings.OPENSTACK_NETWORK).id if new or pool else ""
        found_pool = lookup.floating_pool(connection, pool) if pool else None
        # Last, since it is the first thing that is made: a misspelt name leaves nothing behind.
        group_id = groups.ensure(connection, settings) if new else ""
        return Plan(images, flavors, network_id, found_pool, group_id, admin_keys)

    def _made(self, spec: BootSpec, plan: Plan, clock: Clock) -> Server:
        clock.check()
        self.progress(spec.name, BUILD)
        self.hostkeys.unpin(spec.name)
        server_id = self._create(spec, plan)
        return self._finished(spec.name, server_id, plan, clock)

    def _kept(self, raw: RawServer, plan: Plan, clock: Clock) -> Server:
        if raw.task_state == "deleting" or raw.status not in ("ACTIVE", "BUILD"):
            raise _not_usable(raw)
        if raw.status == "ACTIVE":
            server = self._addressed(raw, plan, clock)
            if not self.wait_for_ssh or banner.answering_port(server.address, self._ports()):
                self.progress(raw.name, EXISTS)
                return server
        else:
            self.progress(raw.name, BUILD)
        return self._finished(raw.name, raw.id, plan, clock)

    def _finished(self, name: str, server_id: str, plan: Plan, clock: Clock) -> Server:
        raw = self._until_active(name, server_id, clock)
        self.progress(name, ACTIVE)
        server = self._addressed(raw, plan, clock)
        if self.wait_for_ssh:
            self._until_ssh(server, clock)
            self.progress(name, SSH)
        return server

    def _create(self, spec: BootSpec, plan: Plan) -> str:
        key = userdata.new_host_key()
        image = plan.images[spec.image or self.settings.OPENSTACK_IMAGE]
        config = userdata.cloud_config(spec.name, key, plan.admin_keys)
        metadata = {
            describe.DEPLOYMENT: self.settings.DEPLOYMENT,
            describe.TYPE: spec.type,
            describe.IMAGE: str(image.name)[:255],
            describe.HOST_KEY: key.public,  # so that whoever finds this server again can pin it
        }
        with explained(f"The cloud does not boot {spec.name}"):
            try:
                raw = self.connection.compute.create_server(
                    name=spec.name,
                    image_id=image.id,
                    flavor_id=plan.flavors[spec.flavor].id,
                    networks=[{"uuid": plan.network_id}],
                    security_groups=[{"name": plan.group_id}],
                    user_data=base64.b64encode(config.encode()).decode(),
                    metadata=metadata,
                )
                return str(raw.id)
            except Exception as error:
                return self._created_after_all(spec.name, error)

    def _created_after_all(self, name: str, error: Exception) -> str:
        """The id of a server whose creation was not answered, or answered by a tired proxy; else raises `error`."""
        status = status_of(error)
        if status is not None and status < 500:
            raise error
        found = _unique(raw for raw in self.list_raw() if raw.name == name)
        if name not in found:
            raise error
        return str(found[name].id)

    def _until_active(self, name: str, server_id: str, clock: Clock) -> RawServer:
        for pause in _pauses():
            raw = self._look(name, server_id, clock)
            if raw is not None and raw.status == "ACTIVE":
                return raw
            if raw is not None and raw.status != "BUILD":
                raise _not_usable(raw)
            if clock.expired():
                break
            clock.sleep(pause)
        raise CloudError(
            f"{name} is still in BUILD",
            why=f"after {self.settings.OPENSTACK_BOOT_TIMEOUT} s (OPENSTACK_BOOT_TIMEOUT)",
            hint="run the same command again to go on waiting",
        )

    def _look(self, name: str, server_id: str, clock: Clock) -> RawServer | None:
        """The server as it is now; None when the cloud has a bad moment and there is still time."""
        with explained(f"{name} was lost sight of while it booted"):
            try:
                return self.connection.compute.get_server(server_id)
            except Exception as error:
                if clock.expired() or not passing(error):
                    raise
                return None

    def _addressed(self, raw: RawServer, plan: Plan, clock: Clock) -> Server:
        """The server with all its addresses, its host key pinned at the one we log in to."""
        server = describe.server(raw, self.settings.OPENSTACK_NETWORK, {})
        if plan.pool is not None and not server.public_ip:
            mark = floating.owner_mark(self.settings.DEPLOYMENT, raw.name)
            public = floating.ensure(self.connection, plan.pool.id, plan.network_id, raw.id, mark)
            server = describe.with_public_ip(server, public)
            self._until_listed(server, clock)
        if not server.address:
            hint = "check the network's subnet; then kill and boot it again"
            raise CloudError(f"{server.name} is ACTIVE but has no address", hint=hint)
        self._pin(server, raw.metadata.get(describe.HOST_KEY))
        return server

    def _until_listed(self, server: Server, clock: Clock) -> None:
        """Wait until Nova, which learns of floating IPs late, lists the server's: the next command looks there."""
        for pause in islice(_pauses(), LISTED_LOOKS):
            raw = self._look(server.name, server.id, clock)
            if raw is not None and describe.server(raw, None, {}).public_ip:
                return
            clock.sleep(pause)

    def _pin(self, server: Server, key: str | None) -> None:
        """Pin the key made at boot, unless one is pinned: that may be newer than what the cloud remembers."""
        for port in self._ports():
            if key and self.hostkeys.get(server.address, port, server.name) is None:
                self.warnings += self.hostkeys.pin(server.name, server.address, port, key)

    def _until_ssh(self, server: Server, clock: Clock) -> None:
        for pause in _pauses():
            if banner.answering_port(server.address, self._ports()):
                return
            if clock.expired():
                raise self._silent(server)
            clock.sleep(pause)

    def _silent(self, server: Server) -> CloudError:
        return CloudError(
            f"{server.name} is ACTIVE but SSH does not answer",
            where=server.where,
            why=f"no SSH server greeted on port {' or '.join(map(str, self._ports()))}"
            f" within {self.settings.OPENSTACK_BOOT_TIMEOUT} s (OPENSTACK_BOOT_TIMEOUT)",
            hint="is the address reachable from here (OPENSTACK_FLOATING_IP_POOL, a VPN)? Its console says:",
            evidence=self._console(server.id),
        )

    def _console(self, server_id: str) -> list[str]:
        try:
            return console_lines(self.connection, server_id, CONSOLE_LINES)
        except CloudError as error:
            return [f"no console log: {error.why}"]

    def _ports(self) -> tuple[int, int]:
        # Port 22 is where a bare image listens; provisioning closes it and opens SSH_PORT.
        return (22, self.settings.SSH_PORT)


def console_lines(connection: Connection, server_id: str, length: int | None = None) -> list[str]:
    """The last `length` lines of the server's console. Raises CloudError."""
    with explained("The console log can't be read"):
        answer = connection.compute.get_server_console_output(server_id, length)
    return str(answer["output"] or "").splitlines()


def _pauses() -> Iterator[float]:
    yield from POLLS
    while True:
        yield LAST_POLL


def _unique(found: Iterable[RawServer]) -> dict[str, RawServer]:
    by_name: dict[str, RawServer] = {}
    for raw in found:
        if raw.name in by_name:
            raise CloudError(
                f"There are two servers {raw.name!r} in this deployment",
                why=f"their ids: {by_name[raw.name].id} and {raw.id}",
                hint=f"`fab openstack_kill {raw.name}` removes both, or delete one by its id",
            )
        by_name[raw.name] = raw
    return by_name


def _not_usable(raw: RawServer) -> CloudError:
    if raw.task_state == "deleting":
        return CloudError(f"{raw.name} is being deleted", hint="run the same command again in a moment")
    if raw.status == "ERROR":
        fault = (raw.fault or {}).get("message") or "the cloud gives no reason"
        return CloudError(
            f"{raw.name} ended in ERROR",
            where=raw.id,
            why=str(fault).strip(),
            hint=f"`fab openstack_kill {raw.name}` removes it; then boot it again",
        )
    return CloudError(
        f"{raw.name} is {raw.status}",
        where=raw.id,
        hint=f"`openstack server start {raw.id}` starts it; or kill and boot it again",
    )
