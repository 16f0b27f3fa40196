"""A server and what it shall become go in: another flavor, another image, an image of itself. No HTTP."""

from __future__ import annotations

from typing import Any

from deploymachine.devcloud.assets import Image, Volume
from deploymachine.devcloud.servers import OFF, Servers
from deploymachine.devcloud.state import Keypair, Refused, Server

RESIZED = {"status": "VERIFY_RESIZE", "vm_state": "resized", "task_state": None}


class Reshape:
    """Every method raises Refused with Nova's status and words."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.images = servers.images

    # resize

    def resize(self, identity: str, flavor: str) -> None:
        """To the new flavor; the old one can be gone back to until it is confirmed."""
        server = self.servers.allowed(identity, "resize", "active", "stopped")
        wanted = self.servers.flavor(flavor, 400)
        if wanted.id == server.flavor_id:
            raise Refused(400, "When resizing, instances must change flavor!")
        self.servers.put(
            server, status="RESIZE", task_state="resize_prep", flavor_id=wanted.id, old_flavor_id=server.flavor_id
        )
        self.servers.later(identity, self._resize)

    def _resize(self, identity: str) -> None:
        """A running machine is stopped and started, as between two hosts."""
        server = self.servers.server(identity)
        if server.power_state == 1:
            server = self.servers.halt(server, task_state="resize_finish", power_state=1)
            self.servers.boot(server, **RESIZED)
        else:
            self.servers.put(server, **RESIZED)

    def confirm(self, identity: str) -> None:
        self.servers.confirmed(self.servers.allowed(identity, "confirmResize", "resized"))

    def revert(self, identity: str) -> None:
        server = self.servers.allowed(identity, "revertResize", "resized")
        old = server.old_flavor_id or server.flavor_id
        self.servers.put(
            server, status="REVERT_RESIZE", task_state="resize_reverting", flavor_id=old, old_flavor_id=None
        )
        self.servers.later(identity, self._revert)

    def _revert(self, identity: str) -> None:
        server = self.servers.server(identity)
        if server.power_state == 1:
            self.servers.boot(self.servers.halt(server))
        else:
            self.servers.put(server, **OFF)

    # rebuild

    def rebuild(self, identity: str, image: str, *, volume_may_change: bool = False, **changes: Any) -> Server:
        """A new disk from the image; id and addresses stay, what `changes` doesn't name does, too.

        volume_may_change: whether the request's microversion lets a root disk that is a volume be filled anew.
        """
        server = self.servers.allowed(identity, "rebuild", "active", "stopped", "error")
        found = self.images.bootable(image, "Cannot find image for rebuild")
        root = self._root(server)
        if root is not None and found.id != root.image_id and not volume_may_change:
            raise Refused(400, "Unable to rebuild with a different image for a volume-backed server.")
        key = changes.get("key_name")
        if key is not None and self.servers.store.get(Keypair, key) is None:
            raise Refused(400, "Invalid key_name provided.")
        if root is None:
            changes["image_id"] = found.id
        else:
            self.servers.volumes.put(root, image_id=found.id)
        server = self.servers.put(server, **changes, status="REBUILD", task_state="rebuilding", fault=None)
        self.servers.later(identity, self.replace_disk)
        return server

    def replace_disk(self, identity: str) -> None:
        server = self.servers.server(identity)
        machines = self.servers.machines
        machines.kill(self.servers.machine(server).plug.number, server.process)
        machines.erase(server.id)
        root = self._root(server)
        if root is not None:
            machines.release_volume(root.id)
            self.servers.volumes.make(root.id)
            self.servers.volumes.put(root, status="in-use")
        self.images.collect()
        stopped = server.vm_state == "stopped"
        booted = self.servers.boot(self.servers.put(server, task_state="rebuild_spawning"))
        if stopped:
            self.servers.halt(booted, **OFF)

    def _root(self, server: Server) -> Volume | None:
        attached = self.servers.volumes.attachments(server=server.id)
        root = next((one for one in attached if one.root), None)
        return self.servers.volumes.get(root.volume_id) if root else None

    # snapshots

    def snapshot(self, identity: str, name: str, metadata: dict[str, str]) -> Image:
        """Recorded at once, copied in the background; the server works on, but for a moment's standstill."""
        server = self.servers.allowed(identity, "createImage", "active", "stopped", "paused", "suspended")
        root = self._root(server)
        source = root.image_id if root else server.image_id
        base = self.servers.store.get(Image, source) or Image("", "")
        disk = self.servers.flavor(server.flavor_id).disk
        image = self.images.begin(server, name, base, metadata, root.size if root else disk)
        self.servers.put(server, task_state="image_snapshot_pending")

        def save(_identity: str) -> None:
            self._save(image.id, identity)

        self.servers.work.later(identity, save, lambda *_: self.fail_snapshot(image.id, identity))
        return image

    def _save(self, image_id: str, identity: str) -> None:
        server = self.servers.put(self.servers.server(identity), task_state="image_uploading")
        self.images.save(image_id, server, self.servers.machine(server).plug.number)
        self.servers.put(self.servers.server(identity), task_state=None)

    def fail_snapshot(self, image_id: str, identity: str) -> None:
        """Of one that could not be taken nothing stays but the server."""
        self.images.drop(image_id)
        server = self.servers.store.get(Server, identity)
        if server is not None:
            self.servers.put(server, task_state=None)

    # work in the background

    def resume(self, server: Server) -> bool:
        """Finish what a killed daemon left half done; whether it was one of ours."""
        task = server.task_state or ""
        work = {"resize_prep": self._resize, "resize_finish": self._resize, "resize_reverting": self._revert}
        work |= {"rebuilding": self.replace_disk, "rebuild_spawning": self.replace_disk}
        if task in work:
            self.servers.later(server.id, work[task])
        elif task.startswith("image_"):
            for image in self.servers.store.all(Image):
                if image.status in ("queued", "saving") and image.properties.get("instance_uuid") == server.id:
                    self.images.drop(image.id)
            self.servers.put(server, task_state=None)
        return task in work or task.startswith("image_")
