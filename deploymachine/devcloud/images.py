"""Images, snapshots among them: Glance's decisions on the store, no HTTP."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from deploymachine.devcloud.assets import Image
from deploymachine.devcloud.ids import new_id, now
from deploymachine.devcloud.machines import Machines
from deploymachine.devcloud.state import PROJECT, USER, Refused, Server, Store

DELETED = "deleted"
CORE = {"name", "visibility", "protected", "tags", "min_disk", "min_ram", "disk_format", "container_format"}
READ_ONLY = {"id", "status", "owner", "size", "checksum", "created_at", "updated_at", "self", "file", "schema"}
READ_ONLY |= {"virtual_size", "os_hash_algo", "os_hash_value", "direct_url", "locations"}


class Images:
    """Every method raises Refused with Glance's status and words, or Nova's where Nova asks."""

    def __init__(self, store: Store, machines: Machines) -> None:
        self.store = store
        self.machines = machines

    def all(self) -> list[Image]:
        """Newest first, as Glance lists."""
        return sorted((one for one in self.store.all(Image) if one.status != DELETED), key=_born, reverse=True)

    def get(self, identity: str) -> Image:
        image = self.store.get(Image, identity)
        if image is None or image.status == DELETED:
            raise Refused(404, f"No image found with ID {identity}")
        return image

    def bootable(self, identity: str, words: str = "Can not find requested image") -> Image:
        image = self.store.get(Image, identity)
        if image is None or image.status == DELETED:
            raise Refused(400, words)
        if image.status != "active":
            raise Refused(400, f"Image {identity} is not active.")
        return image

    def create(self, body: dict[str, Any]) -> Image:
        """Without data, which `upload` brings."""
        image = Image(new_id(), "", status="queued", size=None)
        if self.store.get(Image, str(body.get("id", ""))) is not None:
            raise Refused(409, f"Image ID {body['id']} already exists!")
        for name, value in body.items():
            image = replace(image, id=str(value)) if name == "id" else _set(image, name, value)
        self.store.put(image)
        return image

    def upload(self, identity: str, data: bytes) -> None:
        """Told and counted, but not kept: machines can't boot from a foreign disk."""
        image = self.get(identity)
        if image.status != "queued":
            raise Refused(409, f"Image status transition from {image.status} to saving is not allowed")
        hashes = {"checksum": hashlib.md5(data, usedforsecurity=False).hexdigest()}
        self._put(image, status="active", size=len(data), sha512=hashlib.sha512(data).hexdigest(), **hashes)

    def patch(self, identity: str, operations: list[dict[str, Any]]) -> Image:
        """operations: of a JSON patch: op, path, value."""
        image = self.get(identity)
        for operation in operations:
            name = str(operation.get("path", "")).removeprefix("/").replace("~1", "/").replace("~0", "~")
            if operation.get("op") == "remove":
                image = _removed(image, name)
            elif operation.get("op") in ("add", "replace"):
                if operation["op"] == "replace" and name not in CORE | READ_ONLY | {"os_hidden"} | set(
                    image.properties
                ):
                    raise Refused(409, f"Property {name} does not exist.")
                image = _set(image, name, operation.get("value"))
            else:
                raise Refused(400, f"Operations must be JSON objects, and one of add, remove, replace: {operation}")
        return self._put(image)

    def change(self, identity: str, **changes: Any) -> Image:
        return self._put(self.get(identity), **changes)

    def delete(self, identity: str) -> None:
        image = self.get(identity)
        if image.protected:
            raise Refused(403, f"Image {identity} is protected and cannot be deleted.")
        self._put(image, status=DELETED)
        self.collect()

    # snapshots

    def begin(self, server: Server, name: str, base: Image, metadata: dict[str, str], min_disk: int) -> Image:
        """The image that a server's disk will be, with what Nova notes about it. base: what the server came from."""
        facts = {
            "base_image_ref": server.image_id,
            "boot_roles": "member,reader",
            "image_type": "snapshot",
            "instance_uuid": server.id,
            "owner_id": PROJECT,
            "user_id": USER,
        }
        image = Image(
            id=(identity := new_id()),
            name=name,
            base=base.base,
            layers=[identity, *base.layers],
            status="queued",
            properties={**base.properties, **facts, **metadata},
            visibility="private",
            size=None,
            min_disk=min_disk,
        )
        self.store.put(image)
        return image

    def save(self, identity: str, server: Server, number: int) -> None:
        """The disk itself. An image deleted meanwhile stays deleted."""
        self._put(self.get(identity), status="saving")
        size = self.machines.save(server.id, number, identity)
        image = self.store.get(Image, identity)
        if image is not None and image.status == "saving":
            self._put(image, status="active", size=size)
        self.collect()

    def drop(self, identity: str) -> None:
        """One that came to nothing."""
        image = self.store.get(Image, identity)
        if image is not None:
            self._put(image, status=DELETED)
            self.collect()

    def collect(self) -> None:
        """Free the deleted snapshots that no server and no other image stands on any more."""
        with self.store.lock:
            images = self.store.all(Image)
            used = {server.image_id for server in self.store.all(Server)}
            held = {layer for one in images if one.status != DELETED or one.id in used for layer in one.layers}
            gone = [one for one in images if one.status == DELETED and one.id not in held | used]
            self.store.drop(*gone)
        for image in gone:
            self.machines.forget(image.id)

    def _put(self, image: Image, **changes: Any) -> Image:
        changed = replace(image, updated=now(), **changes)
        self.store.put(changed)
        return changed


def _born(image: Image) -> str:
    return image.created


def _set(image: Image, name: str, value: Any) -> Image:
    if name in READ_ONLY:
        raise Refused(403, f"Attribute '{name}' is read-only.")
    if name == "visibility" and value == "public" and image.visibility != "public":
        raise Refused(403, "You are not authorized to complete publicize_image action.")
    if name == "os_hidden":
        return replace(image, hidden=bool(value))
    if name in CORE:
        core: dict[str, Any] = {name: int(value) if name.startswith("min_") else value}
        return replace(image, **core)
    if not isinstance(value, str):
        raise Refused(400, f"Provided object does not match schema 'image': {value!r} is not of type 'string'")
    return replace(image, properties={**image.properties, name: value})


def _removed(image: Image, name: str) -> Image:
    if name in CORE | READ_ONLY:
        raise Refused(403, f"Property '{name}' may not be removed.")
    if name not in image.properties:
        raise Refused(409, f"Property {name} does not exist.")
    return replace(image, properties={key: value for key, value in image.properties.items() if key != name})
