"""The body of POST /servers goes in, checked as Nova's schema does; what is wished for comes out."""

from __future__ import annotations

import base64
import binascii

from deploymachine.devcloud.api import Json
from deploymachine.devcloud.compute import Wish
from deploymachine.devcloud.state import Refused

USER_DATA_BYTES = 65535
PROPERTIES = {
    *("name", "imageRef", "flavorRef", "networks", "security_groups", "key_name", "user_data", "metadata", "tags"),
    *("min_count", "max_count", "config_drive", "availability_zone", "description", "adminPass", "personality"),
    *("block_device_mapping_v2", "block_device_mapping", "return_reservation_id", "hostname", "accessIPv4"),
    *("accessIPv6", "OS-DCF:diskConfig", "trusted_image_certificates", "host", "hypervisor_hostname"),
}


def wish_of(body: Json) -> Wish:
    """Checked as Nova's schema does."""
    strange = sorted(name for name in body if name not in PROPERTIES)
    if strange:
        words = f"Additional properties are not allowed ({strange[0]!r} was unexpected)"
        raise Refused(400, f"Invalid input for field/attribute server. Value: {body}. {words}")
    for name in ("name", "flavorRef"):
        if name not in body:
            raise Refused(
                400, f"Invalid input for field/attribute server. Value: {body}. '{name}' is a required property"
            )
    name = str(body["name"])
    if not name.strip() or len(name) > 255:
        words = "'' should be non-empty" if not name else f"{name!r} is too long"
        raise Refused(400, f"Invalid input for field/attribute name. Value: {name}. {words}")
    if str(body.get("availability_zone") or "nova") != "nova":
        raise Refused(400, "The requested availability zone is not available")
    return Wish(
        name=name,
        flavor=str(body["flavorRef"]).rpartition("/")[2],
        image=str(body.get("imageRef") or image_of_volume(body)),
        networks=networks_of(body.get("networks")),
        groups=tuple(group["name"] for group in body.get("security_groups", ())),
        key_name=body.get("key_name"),
        user_data=user_data_of(body.get("user_data") or ""),
        metadata=checked_metadata(body.get("metadata") or {}),
        tags=tuple(body.get("tags") or ()),
        description=body.get("description"),
        count=max(int(body.get("min_count", 1)), int(body.get("max_count", 1))),
    )


def image_of_volume(body: Json) -> str:
    """Of a root disk asked for as a block device made from an image; there are no other volumes yet."""
    for device in body.get("block_device_mapping_v2", ()):
        if device.get("source_type") == "image" and str(device.get("boot_index")) == "0":
            return str(device.get("uuid", ""))
    return ""


def networks_of(asked: object) -> tuple[tuple[str, str, str | None], ...] | None:
    if asked is None or asked == "auto":
        return None
    if not isinstance(asked, list):
        return ()
    return tuple(
        ("port", str(row["port"]), None) if row.get("port") else ("uuid", str(row.get("uuid")), row.get("fixed_ip"))
        for row in asked
    )


def user_data_of(encoded: str) -> str:
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        shown = f"Value: {encoded}. {encoded!r} is not a 'base64'"
        raise Refused(400, f"Invalid input for field/attribute user_data. {shown}") from error
    if len(encoded) > USER_DATA_BYTES:
        raise Refused(400, f"Invalid input for field/attribute user_data. Value: {encoded}. {encoded!r} is too long")
    return data.decode(errors="surrogateescape")


def checked_metadata(metadata: Json) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(value, str) or len(value) > 255:
            words = f"{value} is not of type 'string'" if not isinstance(value, str) else f"{value!r} is too long"
            raise Refused(400, f"Invalid input for field/attribute {key}. Value: {value}. {words}")
    return metadata
