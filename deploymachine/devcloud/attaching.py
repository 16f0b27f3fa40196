"""Block devices that a server asks for go in; volumes attached to it come out, and free again when it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from string import ascii_lowercase

from deploymachine.devcloud.assets import ROOT_DEVICE, Attachment, Volume
from deploymachine.devcloud.ids import new_id
from deploymachine.devcloud.servers import Servers
from deploymachine.devcloud.state import Refused, Server
from deploymachine.devcloud.volumes import VolumeWish
from deploymachine.errors import DevcloudError

ATTACHABLE = ("active", "paused", "stopped", "resized")
PATIENCE = 4.0  # seconds a request waits for what it asked for
INVALID = "Block Device Mapping is Invalid: "


@dataclass(frozen=True)
class Device:
    """One entry of block_device_mapping_v2. source: "image", "volume" or "blank". size: in GB, 0 if not given."""

    source: str
    uuid: str | None = None
    destination: str = "volume"
    boot_index: int | None = None
    size: int = 0
    ends_with_server: bool = False
    type: str | None = None
    tag: str | None = None


class Attaching:
    """Every method raises Refused with Nova's status and words."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.volumes = servers.volumes
        self.store = servers.store

    # with a new server

    def plan(self, image: str, devices: Sequence[Device]) -> tuple[str, list[Device]]:
        """The image of a root disk that is no volume ("" if it is one), and the devices that are, the root first."""
        roots = [one for one in devices if one.boot_index == 0]
        local = [one for one in devices if one.destination == "local"]
        for one in local:
            if one.source != "image":
                raise Refused(400, f"{INVALID}devcloud has no ephemeral or swap disks.")
            image = image or str(one.uuid)
        boots = len(roots) + (1 if image and not any(one in local for one in roots) else 0)
        if boots != 1:
            words = "Boot sequence for the instance and image/block device mapping combination is not valid."
            raise Refused(400, INVALID + words)
        wanted = sorted((one for one in devices if one not in local), key=lambda one: one.boot_index != 0)
        for one in wanted:
            self._check(one)
        return image, wanted

    def _check(self, device: Device) -> None:
        if device.source == "volume":
            volume = self.store.get(Volume, device.uuid)
            if volume is None:
                raise Refused(400, f"{INVALID}failed to get volume {device.uuid}.")
            if volume.status != "available":
                words = f"volume '{volume.id}' status must be 'available'. Currently in '{volume.status}'"
                raise Refused(400, f"Invalid volume: {words}")
            if device.boot_index == 0 and not volume.bootable:
                raise Refused(400, f"Block Device {volume.id} is not bootable.")
        elif device.source == "image":
            self.servers.images.bootable(str(device.uuid), f"{INVALID}failed to get image {device.uuid}.")
            if not device.size:
                words = "Images with destination_type 'volume' need to have a non-zero size specified"
                raise Refused(400, INVALID + words)
        elif device.source != "blank":
            raise Refused(400, f"{INVALID}devcloud has no volume snapshots.")
        elif not device.size:
            raise Refused(400, f"{INVALID}Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size")

    def record(self, server: Server, devices: Sequence[Device]) -> None:
        """The attachments, their volumes taken or still to be made. Call with the store locked."""
        for device in devices:
            if device.source == "volume":
                volume = self.volumes.reserve(str(device.uuid))
            else:
                image = device.uuid if device.source == "image" else None
                volume = self.volumes.record(VolumeWish(device.size, image=image, type=device.type))
            name = ROOT_DEVICE if device.boot_index == 0 else self._free_name(server.id)
            attachment = Attachment(new_id(), volume.id, server.id, name, device.ends_with_server, device.tag)
            self.store.put(attachment)

    def make(self, server: Server) -> None:
        """The volumes that were only recorded."""
        for attachment in self.volumes.attachments(server=server.id):
            volume = self.volumes.get(attachment.volume_id)
            if volume.status in ("creating", "downloading"):
                try:
                    self.volumes.make(volume.id)
                except DevcloudError:
                    self.volumes.put(volume, status="error")
                    raise
            self.volumes.put(self.volumes.get(volume.id), status="in-use")

    def forget(self, server_id: str) -> None:
        """What was recorded for a server that won't be: volumes that were there are free again, others were never."""
        for attachment in self.volumes.attachments(server=server_id):
            volume = self.volumes.get(attachment.volume_id)
            self.store.drop(attachment)
            if volume.status == "creating":
                self.store.drop(volume)
            else:
                self.volumes.put(volume, status="available")

    def release(self, server_id: str) -> None:
        """After the server's machine has ended."""
        for attachment in self.volumes.attachments(server=server_id):
            self.servers.machines.release_volume(attachment.volume_id)
            self.volumes.settle(attachment)

    # with one that runs

    def attach(self, server_id: str, volume_id: str, *, ends_with_server: bool, tag: str | None) -> Attachment:
        server = self.servers.allowed(server_id, "attach_volume", *ATTACHABLE)
        with self.store.lock:
            if self.store.get(Volume, volume_id) is None:
                raise Refused(404, f"Volume {volume_id} could not be found.")
            if any(one.volume_id == volume_id for one in self.volumes.attachments(server=server.id)):
                raise Refused(400, f"Invalid volume: volume {volume_id} already attached")
            volume = self.volumes.reserve(volume_id)
            name = self._free_name(server.id)
            attachment = Attachment(new_id(), volume_id, server.id, name, ends_with_server, tag)
            self.store.put(attachment)
            self.volumes.put(volume, status="attaching")
        wait([self._later(attachment, self._plug)], timeout=PATIENCE)
        return attachment

    def _plug(self, attachment: Attachment) -> None:
        server = self.servers.server(attachment.server_id)
        try:
            machine = self.servers.machine(server)
            self.servers.machines.attach(machine, server.process, attachment.volume_id, attachment.device)
        except DevcloudError:
            self.volumes.settle(replace(attachment, ends_with_server=False))
            raise
        self.volumes.put(self.volumes.get(attachment.volume_id), status="in-use")

    def attachment(self, server_id: str, volume_id: str) -> Attachment:
        server = self.servers.server(server_id)
        for one in self.volumes.attachments(server=server.id, volume=volume_id):
            return one
        raise Refused(404, f"Instance {server_id} is not attached to volume {volume_id}.")

    def keep(self, server_id: str, volume_id: str, *, ends_with_server: bool) -> None:
        """Change what happens to the volume when the server ends."""
        self.store.put(replace(self.attachment(server_id, volume_id), ends_with_server=ends_with_server))

    def detach(self, server_id: str, volume_id: str) -> None:
        self.servers.allowed(server_id, "detach_volume", *ATTACHABLE)
        attachment = self.attachment(server_id, volume_id)
        if attachment.root:
            raise Refused(400, "Cannot detach a root device volume")
        with self.store.lock:
            volume = self.volumes.get(volume_id)
            if volume.status != "in-use":
                words = f"Volume status must be 'in-use'. Currently in '{volume.status}' status"
                raise Refused(400, f"Invalid volume: Invalid input received: Invalid volume: {words}")
            self.volumes.put(volume, status="detaching")
        wait([self._later(attachment, self._unplug)], timeout=PATIENCE)

    def _unplug(self, attachment: Attachment) -> None:
        server = self.servers.server(attachment.server_id)
        machine = self.servers.machine(server)
        lesser = replace(machine, volumes=tuple(pair for pair in machine.volumes if pair[0] != attachment.volume_id))
        try:
            self.servers.machines.detach(lesser, server.process, attachment.volume_id, attachment.device)
        except DevcloudError:
            self.volumes.put(self.volumes.get(attachment.volume_id), status="in-use")
            raise
        self.volumes.settle(replace(attachment, ends_with_server=False))

    def resume(self) -> None:
        """Finish what a killed daemon left half done."""
        for attachment in self.store.all(Attachment):
            volume = self.store.get(Volume, attachment.volume_id)
            work = {"attaching": self._plug, "detaching": self._unplug}.get(volume.status if volume else "")
            if work is not None:
                self._later(attachment, work)

    def _later(self, attachment: Attachment, work: Callable[[Attachment], None]) -> Future[None]:
        """In turn with what else is done to the server, which a failure doesn't harm."""
        return self.servers.work.later(attachment.server_id, lambda _: work(attachment), _ignore)

    def _free_name(self, server_id: str) -> str:
        used = {one.device for one in self.volumes.attachments(server=server_id)} | {ROOT_DEVICE}
        return next(name for name in map("/dev/vd{}".format, ascii_lowercase) if name not in used)


def _ignore(_identity: str, _reason: str) -> None:
    """The volume's own status tells of it."""
