"""Volumes and what they are attached to: Cinder's decisions on the store, files made in the background, no HTTP."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from deploymachine.devcloud.assets import Attachment, Volume
from deploymachine.devcloud.ids import new_id, now
from deploymachine.devcloud.images import Images
from deploymachine.devcloud.machines import Machines
from deploymachine.devcloud.quotas import Quotas
from deploymachine.devcloud.scheduler import ZONES
from deploymachine.devcloud.state import Refused, Store
from deploymachine.devcloud.work import Work

DELETABLE = ("available", "error", "error_extending")
UNDELETABLE = (
    "Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing "
    "and must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated "
    "from snapshots after volume transfer."
)
GB = 1 << 30


@dataclass(frozen=True)
class VolumeWish:
    """What POST /volumes asks for; size in GB."""

    size: int
    name: str = ""
    description: str | None = None
    type: str | None = None
    zone: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    image: str | None = None
    source: str | None = None


class Volumes:
    """Every method raises Refused with Cinder's status and words."""

    def __init__(self, store: Store, images: Images, machines: Machines, work: Work, quotas: Quotas) -> None:
        self.store = store
        self.images = images
        self.machines = machines
        self.work = work
        self.quotas = quotas
        quotas.usage["volume"] = self._used

    def all(self) -> list[Volume]:
        """Newest first, as Cinder lists."""
        return list(reversed(self.store.all(Volume)))

    def get(self, identity: str) -> Volume:
        volume = self.store.get(Volume, identity)
        if volume is None:
            raise Refused(404, f"Volume {identity} could not be found.")
        return volume

    def attachments(self, *, server: str | None = None, volume: str | None = None) -> list[Attachment]:
        """Of that server or that volume, the root disk first."""
        found = [
            one
            for one in self.store.all(Attachment)
            if (server is None or one.server_id == server) and (volume is None or one.volume_id == volume)
        ]
        return sorted(found, key=lambda one: (len(one.device), one.device))

    # making

    def create(self, wish: VolumeWish) -> Volume:
        """Recorded at once, made in the background."""
        volume = self.record(wish)
        self.later(volume.id, self.make)
        return volume

    def record(self, wish: VolumeWish) -> Volume:
        image = self._image(wish.image) if wish.image else None
        source = self.get(wish.source) if wish.source else None
        size = wish.size or (source.size if source else 0)
        if size <= 0:
            raise Refused(400, f"Invalid input received: Volume size '{size}' must be an integer and greater than 0")
        if image is not None and size < max(image.min_disk, _gigabytes(image.size)):
            need = max(image.min_disk, _gigabytes(image.size))
            words = f"Volume size {size}GB cannot be smaller than the image minDisk size {need}GB."
            raise Refused(400, f"Invalid input received: {words}")
        if wish.zone is not None and wish.zone not in ZONES:
            raise Refused(400, f"Availability zone '{wish.zone}' is invalid.")
        facts = {} if image is None else {"image_id": image.id, "image_name": image.name, **image.properties}
        with self.store.lock:
            self.quotas.check_volume(size)
            volume = Volume(
                id=new_id(),
                size=size,
                name=wish.name,
                description=wish.description,
                type=wish.type or Volume.type,
                zone=wish.zone or Volume.zone,
                metadata=wish.metadata,
                image_id=image.id if image else None,
                image_facts=facts or (source.image_facts if source else {}),
                source_id=source.id if source else None,
                bootable=bool(image or (source and source.bootable)),
            )
            self.store.put(volume)
        return volume

    def _image(self, identity: str) -> Any:
        return self.images.bootable(identity, "Invalid image identifier or unable to access requested image.")

    def make(self, identity: str) -> None:
        """The file itself."""
        volume = self.get(identity)
        layers = []
        if volume.image_id is not None:
            self.put(volume, status="downloading")
            image = self.images.bootable(volume.image_id)
            layers = self.machines.layers(image.base, image.layers[0] if image.layers else None)
        self.machines.make_volume(volume.id, volume.size, layers, volume.source_id)
        self.put(self.get(identity), status="available")

    # changing

    def update(self, volume: Volume, **changes: Any) -> Volume:
        return self.put(volume, **changes)

    def extend(self, identity: str, size: int, *, in_use: bool) -> None:
        """in_use: whether the request's microversion allows that."""
        with self.store.lock:
            volume = self.get(identity)
            if volume.status != "available" and not (in_use and volume.status == "in-use"):
                words = f"Volume {identity} status must be 'available' to extend, currently {volume.status}."
                raise Refused(400, f"Invalid volume: {words}")
            if size <= volume.size:
                words = "New size for extend must be greater than current size."
                raise Refused(400, f"Invalid input received: {words} (current: {volume.size}, extended: {size}).")
            self.quotas.check_volume_growth(size - volume.size, size)
            self.put(volume, status="extending", size=size)
        self.later(identity, self._extend)

    def _extend(self, identity: str) -> None:
        volume = self.get(identity)
        self.machines.extend_volume(identity, volume.size)
        self.put(volume, status="in-use" if self.attachments(volume=identity) else "available")

    def delete(self, identity: str) -> None:
        with self.store.lock:
            volume = self.get(identity)
            if volume.status not in DELETABLE or self.attachments(volume=identity):
                raise Refused(400, UNDELETABLE)
            self.put(volume, status="deleting")
        self.later(identity, self.remove)

    def remove(self, identity: str) -> None:
        self.machines.delete_volume(identity)
        self.store.drop(self.get(identity))

    # attaching, as far as it is Cinder's

    def reserve(self, identity: str) -> Volume:
        """Take it for a server. Call with the store locked."""
        volume = self.get(identity)
        if volume.status != "available":
            words = f"Volume {identity} status must be available or downloading to reserve, but the current status is"
            raise Refused(400, f"Invalid volume: {words} {volume.status}.")
        return self.put(volume, status="reserved")

    def settle(self, attachment: Attachment) -> None:
        """What an attachment that ended leaves: the volume, free again, or nothing."""
        self.store.drop(attachment)
        volume = self.store.get(Volume, attachment.volume_id)
        if volume is not None:
            self.put(volume, status="deleting" if attachment.ends_with_server else "available")
            if attachment.ends_with_server:
                self.remove(volume.id)

    def put(self, volume: Volume, **changes: Any) -> Volume:
        changed = replace(volume, updated=now(), **changes)
        self.store.put(changed)
        return changed

    # work in the background

    def resume(self) -> None:
        """Finish what a killed daemon left half done; what a server waits for, the server makes."""
        unfinished = {"creating": self.make, "downloading": self.make, "extending": self._extend}
        work: dict[str, Callable[[str], None]] = {**unfinished, "deleting": self.remove}
        for volume in self.store.all(Volume):
            if volume.status in work and (volume.status == "extending" or not self.attachments(volume=volume.id)):
                self.later(volume.id, work[volume.status])

    def later(self, identity: str, work: Callable[[str], None]) -> Future[None]:
        return self.work.later(identity, work, self._failed)

    def _failed(self, identity: str, _reason: str) -> None:
        volume = self.store.get(Volume, identity)
        if volume is not None:
            self.put(volume, status=f"error_{volume.status}" if volume.status in ("deleting", "extending") else "error")

    def _used(self) -> dict[str, int]:
        volumes = self.store.all(Volume)
        return {"volumes": len(volumes), "gigabytes": sum(volume.size for volume in volumes)}


def _gigabytes(size: int | None) -> int:
    return -(-(size or 0) // GB)
