"""Servers in the store go in; their machines, running or not as Nova's states say, come out. No HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from deploymachine.devcloud import crowd
from deploymachine.devcloud.assets import Image
from deploymachine.devcloud.ids import now
from deploymachine.devcloud.images import Images
from deploymachine.devcloud.machines import Machine, Machines
from deploymachine.devcloud.networking import Networking
from deploymachine.devcloud.state import FLAVORS, Flavor, Keypair, Refused, Server, Store
from deploymachine.devcloud.trouble import Trouble
from deploymachine.devcloud.volumes import Volumes
from deploymachine.devcloud.work import Work
from deploymachine.errors import DevcloudError

ON: dict[str, Any] = {"status": "ACTIVE", "vm_state": "active", "power_state": 1, "task_state": None}
OFF: dict[str, Any] = {
    "status": "SHUTOFF",
    "vm_state": "stopped",
    "power_state": 4,
    "task_state": None,
    "process": None,
}
FAILED: dict[str, Any] = {"status": "ERROR", "vm_state": "error", "task_state": None}


class Servers:
    """What every part of Nova needs of servers. Raises Refused with Nova's status and words."""

    def __init__(
        self, store: Store, networking: Networking, machines: Machines, images: Images, volumes: Volumes, work: Work
    ) -> None:
        self.store = store
        self.networking = networking
        self.machines = machines
        self.images = images
        self.volumes = volumes
        self.work = work
        self.quotas = networking.quotas
        self.trouble = Trouble()
        self.confirm_window = 0  # seconds after which a resize confirms itself, 0 for never

    # reading

    def servers(self) -> list[Server]:
        """Newest first, as Nova lists."""
        own = [self._checked(server) for server in reversed(self.store.all(Server))]
        return [*own, *crowd.members(self.trouble.crowd())]

    def server(self, identity: str) -> Server:
        server = self.store.get(Server, identity)
        if server is not None:
            return self._checked(server)
        for other in crowd.members(self.trouble.crowd()):
            if other.id == identity:
                return other
        raise Refused(404, f"Instance {identity} could not be found.")

    def _checked(self, server: Server) -> Server:
        """As Nova's periodic looks find it: a machine that died shows as SHUTOFF, an old resize as confirmed."""
        if server.status == "VERIFY_RESIZE" and 0 < self.confirm_window < _age(server.updated):
            return self.confirmed(server)
        if server.status != "ACTIVE" or server.task_state or self.machines.alive(server.process):
            return server
        with self.store.lock:
            if self.store.get(Server, server.id) != server:
                return self.store.get(Server, server.id) or server
            # Of a killed nspawn the machine itself stays behind; what shows as off must be off.
            self.machines.kill(self.machine(server).plug.number, None)
            return self.put(server, **OFF)

    def flavor(self, identity: str, status: int = 404) -> Flavor:
        for flavor in FLAVORS:
            if flavor.id == identity:
                return flavor
        raise Refused(status, f"Flavor {identity} could not be found.")

    def image(self, identity: str) -> Image:
        """Also a deleted one that a server came from."""
        image = self.store.get(Image, identity)
        if image is None:
            raise Refused(400, "Can not find requested image")
        return image

    def machine(self, server: Server) -> Machine:
        key = self.store.get(Keypair, server.key_name)
        attached = self.volumes.attachments(server=server.id)
        image = self.image(server.image_id) if server.image_id else None
        plugs = [self.networking.plug_of(port) for port in self.networking.ports(server)]
        return Machine(
            id=server.id,
            hostname=server.hostname,
            image=image.base if image else "",
            memory_mb=self.flavor(server.flavor_id).ram,
            plug=plugs[0],
            more_plugs=tuple(plugs[1:]),
            user_data=server.user_data,
            keys=(key.public_key,) if key else (),
            metadata=server.metadata,
            snapshot=image.layers[0] if image and image.layers else None,
            root=next((one.volume_id for one in attached if one.root), None),
            volumes=tuple((one.volume_id, one.device) for one in attached if not one.root),
        )

    # changing

    def update(self, server: Server, **changes: Any) -> Server:
        return self.put(server, **changes)

    def put(self, server: Server, **changes: Any) -> Server:
        """Changed from what it is by now: while a machine boots, its server may be given another name."""
        with self.store.lock:
            latest = self.store.get(Server, server.id)
            changed: Server = replace(latest or server, updated=now(), **changes)
            if latest is not None:  # else it was deleted meanwhile
                self.store.put(changed)
        return changed

    def allowed(self, identity: str, action: str, *vm_states: str) -> Server:
        """The server, if Nova lets that be done to it now."""
        server = self.unlocked(identity)
        if server.task_state == "scheduling":
            raise Refused(409, f"Instance {identity} is not ready")
        for kind, state, fine in (
            ("vm_state", server.vm_state, server.vm_state in vm_states),
            ("task_state", server.task_state, server.task_state is None),
        ):
            if not fine:
                raise Refused(409, f"Cannot '{action}' instance {identity} while it is in {kind} {state}")
        return server

    def unlocked(self, identity: str) -> Server:
        server = self.server(identity)
        if server.locked:
            raise Refused(409, f"Instance {identity} is locked")
        return server

    # machines

    def boot(self, server: Server, **changes: Any) -> Server:
        """changes: to what a running server is told as."""
        image = self.image(server.image_id) if server.image_id else None
        if image is not None and not (image.base or image.layers):
            raise DevcloudError("devcloud boots only its own images and snapshots made of them")
        process = self.machines.boot(self.machine(server))
        return self.put(server, **{**ON, "process": process, "launched": server.launched or now(), **changes})

    def halt(self, server: Server, **changes: Any) -> Server:
        self.machines.power_off(self.machine(server), server.process)
        return self.put(server, **{"process": None, "power_state": 4, **changes})

    def confirmed(self, server: Server) -> Server:
        """A resize that stays."""
        return self.put(server, old_flavor_id=None, **rest(server))

    def later(self, identity: str, work: Callable[[str], object]) -> Future[None]:
        return self.work.later(identity, work, self.failed)

    def failed(self, identity: str, reason: str) -> None:
        server = self.store.get(Server, identity)
        if server is not None:
            host = "" if server.vm_state == "building" else server.host  # a build that failed is on no host
            self.put(server, **FAILED, host=host, fault=reason)


def rest(server: Server) -> dict[str, Any]:
    """What a server is told as between two actions, running or not."""
    return {name: value for name, value in (ON if server.power_state == 1 else OFF).items() if name != "process"}


def _age(moment: str) -> float:
    then = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    return time.time() - then.timestamp()
