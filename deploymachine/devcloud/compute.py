"""Servers and keypairs: Nova's decisions on the store, carried out on machines in the background, no HTTP."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from deploymachine.devcloud.machines import Machine, Machines
from deploymachine.devcloud.networking import DEFAULT_GROUP, Networking
from deploymachine.devcloud.state import (
    FLAVORS,
    IMAGES,
    Flavor,
    Group,
    Image,
    Keypair,
    Network,
    Port,
    Refused,
    Server,
    Store,
    new_id,
    now,
)
from deploymachine.errors import DevcloudError

PATIENCE = 4.0  # seconds a create call waits for its machines: a client that sees BUILD polls only 5 s later


@dataclass(frozen=True)
class Wish:
    """What POST /servers asks for. networks: pairs (kind "uuid"|"port", id, address or None), or None for any."""

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


class Compute:
    """Every method raises Refused with Nova's status and words."""

    def __init__(self, store: Store, networking: Networking, machines: Machines) -> None:
        self.store = store
        self.networking = networking
        self.machines = machines
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="machine")
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    # reading

    def servers(self) -> list[Server]:
        """Newest first, as Nova lists."""
        return [self._checked(server) for server in reversed(self.store.all(Server))]

    def server(self, identity: str) -> Server:
        server = self.store.get(Server, identity)
        if server is None:
            raise Refused(404, f"Instance {identity} could not be found.")
        return self._checked(server)

    def _checked(self, server: Server) -> Server:
        """A machine that died shows as SHUTOFF, as Nova's periodic look at the hypervisor finds it."""
        if server.status != "ACTIVE" or server.task_state or self.machines.alive(server.process):
            return server
        with self.store.lock:
            if self.store.get(Server, server.id) != server:
                return self.store.get(Server, server.id) or server
            # Of a killed nspawn the machine itself stays behind; what shows as off must be off.
            self.machines.kill(self.machine(server).plug.number, None)
            return self._put(server, status="SHUTOFF", vm_state="stopped", power_state=4, process=None)

    def flavor(self, identity: str, status: int = 404) -> Flavor:
        return _found(FLAVORS, identity, Refused(status, f"Flavor {identity} could not be found."))

    def image(self, identity: str) -> Image:
        return _found(IMAGES, identity, Refused(400, "Can not find requested image"))

    def console(self, identity: str, length: int | None = None) -> str:
        """The last lines, or all."""
        lines = self.machines.console(self.server(identity).id).splitlines(keepends=True)
        return "".join(lines if length is None or length < 0 else lines[len(lines) - min(length, len(lines)) :])

    # creating

    def create(self, wish: Wish) -> list[Server]:
        """Checked and recorded at once, booted in the background."""
        flavor, image = self.flavor(wish.flavor, 400), self.image(wish.image)
        if wish.key_name is not None and self.store.get(Keypair, wish.key_name) is None:
            raise Refused(400, "Invalid key_name provided.")
        groups = self.networking.find_groups(wish.groups)
        names = [wish.name] if wish.count == 1 else [f"{wish.name}-{n}" for n in range(1, wish.count + 1)]
        with self.store.lock:
            servers = [self._record(wish, name, flavor, image, groups) for name in names]
        wait([self._later(self._build, server.id) for server in servers], timeout=PATIENCE)
        return servers

    def _record(self, wish: Wish, name: str, flavor: Flavor, image: Image, groups: list[Group]) -> Server:
        server = Server(
            id=new_id(),
            name=name,
            flavor_id=flavor.id,
            image_id=image.id,
            key_name=wish.key_name,
            user_data=wish.user_data,
            metadata=wish.metadata,
            tags=list(wish.tags),
            description=wish.description,
        )
        self._connect(server, wish, [group.id for group in groups] or [DEFAULT_GROUP])
        self.store.put(server)
        return server

    def _connect(self, server: Server, wish: Wish, groups: list[str]) -> None:
        wanted = self._the_one_network() if wish.networks is None else wish.networks
        if len(wanted) != 1:  # a machine's namespace has one link; say so rather than drop the others
            raise Refused(400, "devcloud connects a server to exactly one network.")
        kind, identity, address = wanted[0]
        if kind == "port":
            port = self.store.get(Port, identity)
            if port is None:
                raise Refused(400, f"Port id {identity} could not be found.")
            if port.device_id:
                raise Refused(409, f"Port {identity} is still in use.")
            self.store.put(replace(port, device_id=server.id))
            return
        if self.store.get(Network, identity) is None:
            raise Refused(400, f"Network {identity} could not be found.")
        self.networking.create_port(identity, address=address, groups=groups, device_id=server.id)

    def _the_one_network(self) -> tuple[tuple[str, str, str | None], ...]:
        inner = [network for network in self.store.all(Network) if not network.external]
        if len(inner) > 1:
            raise Refused(409, "Multiple possible networks found, use a Network ID to be more specific.")
        return tuple(("uuid", network.id, None) for network in inner)

    def _build(self, identity: str) -> None:
        server = self.store.get(Server, identity)
        if server is not None and server.task_state != "deleting":
            self._boot(self._put(server, task_state="spawning"))

    def _boot(self, server: Server) -> None:
        try:
            process = self.machines.boot(self.machine(server))
        except DevcloudError as error:
            fault = "\n".join([str(error), *error.evidence])
            self._put(server, status="ERROR", vm_state="error", task_state=None, fault=fault)
            return
        active = self._put(server, status="ACTIVE", vm_state="active", task_state=None, power_state=1, process=process)
        self.store.put(replace(active, launched=active.launched or now()))

    def machine(self, server: Server) -> Machine:
        key = self.store.get(Keypair, server.key_name)
        return Machine(
            id=server.id,
            hostname=server.hostname,
            image=self.image(server.image_id).name,
            memory_mb=self.flavor(server.flavor_id).ram,
            plug=self.networking.plug_of(self.networking.ports(server)[0]),
            user_data=server.user_data,
            keys=(key.public_key,) if key else (),
            metadata=server.metadata,
        )

    # changing

    def update(self, server: Server, **changes: Any) -> Server:
        return self._put(server, **changes)

    def delete(self, identity: str) -> None:
        server = self.server(identity)
        self._put(server, task_state="deleting")
        wait([self._later(self._destroy, server.id)], timeout=PATIENCE)

    def _destroy(self, identity: str) -> None:
        server = self.store.get(Server, identity)
        if server is None:
            return
        ports = self.networking.ports(server)
        for port in ports:
            self.machines.destroy(server.id, port.number, server.process)
        kept = [replace(port, device_id="") for port in ports if not port.made_for_server]
        with self.store.lock:
            self.store.put(*kept)
            self.networking.release(*[port for port in ports if port.made_for_server])
            self.store.drop(server)

    def stop(self, identity: str) -> None:
        server = self._in(identity, "stop", "active", "error")
        self._put(server, task_state="powering-off")
        self._later(self._power_off, server.id)

    def start(self, identity: str) -> None:
        server = self._in(identity, "start", "stopped")
        self._put(server, task_state="powering-on")
        wait([self._later(self._power_on, server.id)], timeout=PATIENCE)

    def reboot(self, identity: str, *, hard: bool) -> None:
        server = self._in(identity, "reboot", "active", *(["stopped", "error"] if hard else []))
        status = "HARD_REBOOT" if hard else "REBOOT"
        self._put(server, status=status, task_state="rebooting_hard" if hard else "rebooting")
        self._later(self._kill_and_boot if hard else self._power_cycle, server.id)

    def rebuild(self, identity: str, image: str) -> Server:
        """A new disk from the image; id, addresses, user-data and key stay."""
        server = self._in(identity, "rebuild", "active", "stopped", "error")
        image_id = self.image(image).id
        server = self._put(server, image_id=image_id, status="REBUILD", task_state="rebuilding", fault=None)
        self._later(self._replace_disk, server.id)
        return server

    def _power_off(self, identity: str) -> Server:
        server = self.server(identity)
        self.machines.power_off(self.machine(server), server.process)
        state = {"status": "SHUTOFF", "vm_state": "stopped", "power_state": 4}
        return self._put(server, task_state=None, process=None, **state)

    def _power_on(self, identity: str) -> None:
        self._boot(self.server(identity))

    def _power_cycle(self, identity: str) -> None:
        self._boot(self._power_off(identity))

    def _kill_and_boot(self, identity: str) -> None:
        server = self.server(identity)
        self.machines.kill(self.machine(server).plug.number, server.process)
        self._boot(server)

    def _replace_disk(self, identity: str) -> None:
        server = self.server(identity)
        self.machines.kill(self.machine(server).plug.number, server.process)
        self.machines.erase(server.id)
        self._boot(server)

    # work in the background

    def resume(self) -> None:
        """Finish what a killed daemon left half done."""
        for server in self.store.all(Server):
            if server.task_state == "deleting":
                self._later(self._destroy, server.id)
            elif server.task_state == "powering-off":
                self._later(self._power_off, server.id)
            elif server.task_state is not None:
                self._later(self._kill_and_boot, server.id)

    def _later(self, work: Callable[[str], object], identity: str) -> Future[None]:
        def one_at_a_time() -> None:
            with self._locks[identity]:
                try:
                    work(identity)
                except Refused:  # deleted meanwhile
                    return
                except Exception as error:
                    server = self.store.get(Server, identity)
                    if server is not None:
                        self._put(server, status="ERROR", vm_state="error", task_state=None, fault=str(error))
                    raise

        return self._pool.submit(one_at_a_time)

    def _in(self, identity: str, action: str, *vm_states: str) -> Server:
        server = self.server(identity)
        if server.vm_state not in vm_states:
            words = f"Cannot '{action}' instance {identity} while it is in vm_state {server.vm_state}"
            raise Refused(409, words)
        if server.task_state is not None:
            words = f"Cannot '{action}' instance {identity} while it is in task_state {server.task_state}"
            raise Refused(409, words)
        return server

    def _put(self, server: Server, **changes: Any) -> Server:
        changed: Server = replace(server, updated=now(), **changes)
        self.store.put(changed)
        return changed


F = TypeVar("F", Flavor, Image)


def _found(values: tuple[F, ...], identity: str, refusal: Refused) -> F:
    for value in values:
        if value.id == identity:
            return value
    raise refusal
