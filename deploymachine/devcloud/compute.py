"""Servers: made, ended, switched on and off by Nova's decisions on the store, machines in the background, no HTTP."""

from __future__ import annotations

from concurrent.futures import wait
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from deploymachine.devcloud import scheduler
from deploymachine.devcloud.assets import ServerGroup
from deploymachine.devcloud.attaching import Attaching, Device
from deploymachine.devcloud.ids import new_id
from deploymachine.devcloud.networking import DEFAULT_GROUP
from deploymachine.devcloud.reshape import Reshape
from deploymachine.devcloud.servers import FAILED, OFF, Servers
from deploymachine.devcloud.state import Group, Keypair, Refused, Server
from deploymachine.devcloud.trouble import Order
from deploymachine.errors import DevcloudError

PATIENCE = 4.0  # seconds a create call waits for its machines: a client that sees BUILD polls only 5 s later


@dataclass(frozen=True)
class Wish:
    """What POST /servers asks for. networks: pairs (kind "uuid"|"port", id, address or None), or None for any.

    image: its id, "" where a device is the root disk. zone: None for any. hints: the scheduler's. hostname: "" for as
    the name is. config_drive: whether there shall be one; only told, as every machine finds its data on its disk.
    """

    name: str
    flavor: str
    image: str
    networks: tuple[tuple[str, str, str | None], ...] | None = None
    groups: tuple[str, ...] = ()
    key_name: str | None = None
    user_data: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    description: str | None = None
    count: int = 1
    devices: tuple[Device, ...] = ()
    zone: str | None = None
    hints: dict[str, Any] = field(default_factory=dict)
    hostname: str = ""
    config_drive: bool = False


class Compute(Servers):
    """Every method raises Refused with Nova's status and words."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.attaching = Attaching(self)
        self.reshape = Reshape(self)

    def console(self, identity: str, length: int | None = None) -> str:
        """The last lines, or all."""
        lines = self.machines.console(self.server(identity).id).splitlines(keepends=True)
        return "".join(lines if length is None or length < 0 else lines[len(lines) - min(length, len(lines)) :])

    # creating

    def create(self, wish: Wish) -> list[Server]:
        """Checked and recorded at once, booted in the background."""
        flavor = self.flavor(wish.flavor, 400)
        image, devices = self.attaching.plan(wish.image, wish.devices)
        if image:
            self.images.bootable(image)
        if wish.key_name is not None and self.store.get(Keypair, wish.key_name) is None:
            raise Refused(400, "Invalid key_name provided.")
        if wish.zone is not None and wish.zone not in scheduler.ZONES:
            raise Refused(400, "The requested availability zone is not available")
        fellows = self.group_of(wish)
        groups = self.networking.find_groups(wish.groups)
        names = [wish.name] if wish.count == 1 else [f"{wish.name}-{n}" for n in range(1, wish.count + 1)]
        with self.store.lock:
            self.quotas.check_servers(wish.count, wish.count * flavor.vcpus, wish.count * flavor.ram)
            self.quotas.check_metadata(len(wish.metadata))
            networks = self.networking.check_wanted(wish.networks, wish.count)
            wish = replace(wish, image=image, devices=tuple(devices), networks=networks)
            servers = self._record(wish, names, fellows, groups)
        wait([self.later(server.id, self._build) for server in servers], timeout=PATIENCE)
        return servers

    def group_of(self, wish: Wish) -> ServerGroup | None:
        """The server group that the scheduler's hint names."""
        named = wish.hints.get("group")
        group = self.store.get(ServerGroup, named) if isinstance(named, str) else None
        if named is not None and group is None:
            raise Refused(400, f"Instance group {named} could not be found.")
        if group is not None:
            self.quotas.check_members(wish.count, sum(scheduler.member(one, group) for one in self.store.all(Server)))
        return group

    def _record(self, wish: Wish, names: list[str], fellows: ServerGroup | None, groups: list[Group]) -> list[Server]:
        """All of them with their ports and volumes, or nothing."""
        servers: list[Server] = []
        try:
            for name in names:
                servers.append(self._new(wish, name, fellows))
                if servers[-1].host:
                    ids = [group.id for group in groups] or [DEFAULT_GROUP]
                    self.networking.connect(servers[-1].id, wish.networks or (), ids)
                    self.attaching.record(servers[-1], wish.devices)
        except Refused:
            for server in servers:
                self.attaching.forget(server.id)
                self.networking.part(server)
                self.store.drop(server)
            raise
        return servers

    def _new(self, wish: Wish, name: str, fellows: ServerGroup | None) -> Server:
        server = Server(
            id=new_id(),
            name=name,
            flavor_id=wish.flavor,
            image_id=wish.image,
            key_name=wish.key_name,
            user_data=wish.user_data,
            metadata=wish.metadata,
            tags=list(wish.tags),
            description=wish.description,
            host=scheduler.choose(self.store.all(Server), self.flavor(wish.flavor), fellows, wish.zone) or "",
            zone_asked=wish.zone,
            hints=wish.hints,
            called=name.replace(wish.name, wish.hostname or wish.name, 1),
            config_drive=wish.config_drive,
        )
        self.store.put(server)
        return server

    def _build(self, identity: str) -> None:
        server = self.store.get(Server, identity)
        if server is None or server.task_state == "deleting":
            return
        if not server.host:
            why = "There are not enough hosts available." if scheduler.fits(self.flavor(server.flavor_id)) else ""
            self.put(server, **FAILED, fault=f"No valid host was found. {why}")
            return
        ordered = self.trouble.build(server.name)
        if ordered:
            self.trouble.after(
                sum(order.seconds for order in ordered), lambda: self._build_in_trouble(identity, ordered)
            )
        else:
            self._make(server)

    def _build_in_trouble(self, identity: str, ordered: list[Order]) -> None:
        faults = [order.message for order in ordered if order.message]
        self.later(identity, partial(self._fail, faults[0]) if faults else self._make_late)

    def _fail(self, fault: str, identity: str) -> None:
        server = self.store.get(Server, identity)
        if server is not None and fault.startswith("No valid host"):  # then it was given nothing yet
            self.networking.part(server)
            self.networking.guard()
            self.put(server, host="")
        self.failed(identity, fault)

    def _make_late(self, identity: str) -> None:
        server = self.store.get(Server, identity)
        if server is not None and server.task_state != "deleting":
            self._make(server)

    def _make(self, server: Server) -> None:
        identity = server.id
        self.networking.guard()
        if self.volumes.attachments(server=identity):
            server = self.put(server, task_state="block_device_mapping")
            self.attaching.make(server)
        try:
            self.boot(self.put(server, task_state="spawning"))
        except DevcloudError as error:
            raise DevcloudError(
                f"Build of instance {identity} aborted: {error.what}", evidence=error.evidence
            ) from error

    # ending

    def delete(self, identity: str) -> None:
        server = self.unlocked(identity)
        self.put(server, task_state="deleting")
        wait([self.later(server.id, self._destroy)], timeout=PATIENCE)

    def _destroy(self, identity: str) -> None:
        server = self.store.get(Server, identity)
        if server is None:
            return
        for port in self.networking.ports(server)[:1]:  # its number is the machine's
            self.machines.destroy(server.id, port.number, server.process)
        for port in self.networking.ports(server)[1:]:
            self.machines.pull_out(port.number)
        self.attaching.release(server.id)
        with self.store.lock:
            self.networking.part(server)
            self.store.drop(server)
        self.networking.guard()
        self.images.collect()

    # on and off

    def stop(self, identity: str) -> None:
        server = self.allowed(identity, "stop", "active", "error")
        self.put(server, task_state="powering-off")
        self.later(server.id, self._power_off)

    def start(self, identity: str) -> None:
        server = self.allowed(identity, "start", "stopped")
        self.put(server, task_state="powering-on")
        wait([self.later(server.id, self._power_on)], timeout=PATIENCE)

    def reboot(self, identity: str, *, hard: bool) -> None:
        server = self.allowed(identity, "reboot", "active", *(["stopped", "error"] if hard else []))
        status = "HARD_REBOOT" if hard else "REBOOT"
        self.put(server, status=status, task_state="rebooting_hard" if hard else "rebooting")
        self.later(server.id, self._kill_and_boot if hard else self._power_cycle)

    def lock(self, identity: str, reason: str | None) -> None:
        """No other change is allowed until it is unlocked."""
        self.put(self.server(identity), locked=True, locked_reason=reason)

    def unlock(self, identity: str) -> None:
        self.put(self.server(identity), locked=False, locked_reason=None)

    def _power_off(self, identity: str) -> None:
        self.halt(self.server(identity), **OFF)

    def _power_on(self, identity: str) -> None:
        self.boot(self.server(identity))

    def _power_cycle(self, identity: str) -> None:
        self.boot(self.halt(self.server(identity)))

    def _kill_and_boot(self, identity: str) -> None:
        server = self.server(identity)
        self.machines.kill(self.machine(server).plug.number, server.process)
        self.boot(server)

    # work in the background

    def resume(self) -> None:
        """Finish what a killed daemon left half done."""
        self.volumes.resume()
        self.attaching.resume()
        work = {"deleting": self._destroy, "powering-off": self._power_off}
        work |= dict.fromkeys(("scheduling", "block_device_mapping", "spawning"), self._build)
        for server in self.store.all(Server):
            if server.task_state is not None and not self.reshape.resume(server):
                self.later(server.id, work.get(server.task_state, self._kill_and_boot))
