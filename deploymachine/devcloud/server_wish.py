"""The body of POST /servers goes in, checked as Nova's schema does; what is wished for comes out."""

from __future__ import annotations

import base64
import binascii
import re

from deploymachine.devcloud.api import Json
from deploymachine.devcloud.api_compute import at_least
from deploymachine.devcloud.attaching import Device
from deploymachine.devcloud.compute import Wish
from deploymachine.devcloud.state import Refused

USER_DATA_BYTES = 65535
PROPERTIES = {
    *("name", "imageRef", "flavorRef", "networks", "security_groups", "key_name", "user_data", "metadata"),
    *("min_count", "max_count", "config_drive", "availability_zone", "adminPass", "accessIPv4", "accessIPv6"),
    *("block_device_mapping_v2", "block_device_mapping", "return_reservation_id", "OS-DCF:diskConfig"),
}
KINDS: dict[str, tuple[type, type]] = {  # of a property, and of what a list holds
    "metadata": (dict, object),
    "tags": (list, str),
    "security_groups": (list, dict),
    "block_device_mapping_v2": (list, dict),
    "key_name": (str, object),
    "user_data": (str, object),
    "availability_zone": (str, object),
    "description": (str, object),
}
CALLED: dict[type, str] = {dict: "object", list: "array", str: "string"}
NEWER = {  # the microversion that brought it
    "description": 19,
    "tags": 52,
    "trusted_image_certificates": 63,
    "host": 74,
    "hypervisor_hostname": 74,
    "hostname": 90,
}


def wish_of(body: Json, hints: Json) -> Wish:
    """Checked as Nova's schema does. hints: the scheduler's, which stand beside the server in the request."""
    _check_names(body)
    _check_kinds(body)
    name = str(body["name"])
    if not name.strip() or len(name) > 255:
        words = "'' should be non-empty" if not name else f"{name!r} is too long"
        raise Refused(400, f"Invalid input for field/attribute name. Value: {name}. {words}")
    return Wish(
        name=name,
        flavor=str(body["flavorRef"]).rpartition("/")[2],
        image=str(body.get("imageRef") or "").rpartition("/")[2],
        networks=networks_of(body.get("networks")),
        groups=tuple(group["name"] for group in body.get("security_groups") or ()),
        key_name=body.get("key_name"),
        user_data=user_data_of(body.get("user_data") or ""),
        metadata=checked_metadata(body.get("metadata") or {}),
        tags=tuple(body.get("tags") or ()),
        description=body.get("description"),
        count=max(1, *(whole(name, body.get(name, 1)) for name in ("min_count", "max_count"))),
        devices=tuple(device_of(row) for row in body.get("block_device_mapping_v2") or ()),
        zone=body.get("availability_zone"),
        hints=hints,
        hostname=str(body.get("hostname") or ""),
        config_drive=str(body.get("config_drive") or "").lower() in ("true", "1"),
    )


def _check_names(body: Json) -> None:
    """That the request's microversion knows every property, and has those it wants."""
    strange = sorted(name for name in body if name not in PROPERTIES and not at_least(NEWER.get(name, 1 << 30)))
    if "personality" in strange and not at_least(57):
        strange.remove("personality")
    if strange:
        words = f"Additional properties are not allowed ({strange[0]!r} was unexpected)"
        raise Refused(400, f"Invalid input for field/attribute server. Value: {body}. {words}")
    for name in ("name", "flavorRef", *(["networks"] if at_least(37) else [])):
        if name not in body:
            words = f"'{name}' is a required property"
            raise Refused(400, f"Invalid input for field/attribute server. Value: {body}. {words}")
    if {"host", "hypervisor_hostname"} & body.keys():
        words = "Policy doesn't allow compute:servers:create:requested_destination to be performed."
        raise Refused(403, words)


def _check_kinds(body: Json) -> None:
    """That every property is of its kind, and so is what a list holds."""
    for name, (kind, inside) in KINDS.items():
        value = body.get(name)
        rows = value if isinstance(value, list) else []
        for where, one, wanted in ((name, value, kind), *((name, row, inside) for row in rows)):
            if one is not None and not isinstance(one, wanted):
                words = f"Value: {one}. {one!r} is not of type '{CALLED[wanted]}'"
                raise Refused(400, f"Invalid input for field/attribute {where}. {words}")
    if any(not isinstance(group.get("name"), str) for group in body.get("security_groups") or ()):
        raise Refused(400, "Invalid input for field/attribute security_groups. 'name' is a required property")


def device_of(row: Json) -> Device:
    """Of one entry of block_device_mapping_v2, whose numbers clients also write as text."""
    index = row.get("boot_index")
    source = str(row.get("source_type") or "volume")
    return Device(
        source=source,
        uuid=row.get("uuid"),
        destination=str(row.get("destination_type") or ("local" if source == "image" else "volume")),
        boot_index=None if index in (None, "", "None") else whole("boot_index", index),
        size=whole("volume_size", row.get("volume_size") or 0),
        ends_with_server=str(row.get("delete_on_termination", False)).lower() == "true",
        type=row.get("volume_type"),
        tag=row.get("tag"),
    )


def whole(name: str, value: object) -> int:
    if not re.fullmatch(r"-?\d+", str(value)):
        words = f"Value: {value}. {value!r} is not of type 'integer'"
        raise Refused(400, f"Invalid input for field/attribute {name}. {words}")
    return int(str(value))


def networks_of(asked: object) -> tuple[tuple[str, str, str | None], ...] | None:
    if asked is None or (asked == "auto" and at_least(37)):
        return None
    if asked == "none" and at_least(37):
        return ()
    if not isinstance(asked, list) or not all(isinstance(row, dict) for row in asked):
        words = f"Value: {asked}. {asked!r} is not of type 'array'"
        raise Refused(400, f"Invalid input for field/attribute networks. {words}")
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
