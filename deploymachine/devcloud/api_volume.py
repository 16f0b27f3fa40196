"""Cinder v3: volumes, their types, what they are attached to, metadata, limits and quotas."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from deploymachine.devcloud.api import Cloud, Json, body_of, filtered, guard, page, sent
from deploymachine.devcloud.assets import VOLUME_TYPES, Attachment, Volume
from deploymachine.devcloud.ids import builtin_id
from deploymachine.devcloud.scheduler import ZONES
from deploymachine.devcloud.server_wish import whole
from deploymachine.devcloud.state import PROJECT, USER, Refused
from deploymachine.devcloud.volumes import VolumeWish

MINIMUM, MAXIMUM = (3, 0), (3, 71)
KINDS = {400: "badRequest", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest", 413: "overLimit"}
BASE = "/v3/<project>"


def blueprint(cloud: Cloud) -> Blueprint:
    api = Blueprint("volume", __name__, url_prefix="/volume")
    guard(api, cloud, "versions", "version")

    @api.url_value_preprocessor
    def one_project(_endpoint: str | None, values: Json | None) -> None:
        (values or {}).pop("project", None)  # there is no other

    @api.before_request
    def negotiate() -> None:
        g.version = microversion()

    @api.errorhandler(Refused)
    def refused(error: Refused) -> tuple[Response, int]:
        kind = KINDS.get(error.status, "computeFault")
        return jsonify({kind: {"code": error.status, "message": error.message}}), error.status

    @api.after_request
    def versioned(response: Response) -> Response:
        if "version" in g:
            response.headers["OpenStack-API-Version"] = f"volume {g.version[0]}.{g.version[1]}"
            response.headers["Vary"] = "OpenStack-API-Version"
        return response

    @api.get("/")
    def versions() -> tuple[Response, int]:
        return jsonify(versions=[version_document(cloud)]), 300

    @api.get("/v3")
    def version() -> Json:
        return {"versions": [version_document(cloud)]}

    _volume_routes(api, cloud)
    _metadata_routes(api, cloud)
    _type_routes(api)
    _project_routes(api, cloud)
    return api


def microversion() -> tuple[int, int]:
    """What the request asks for; 3.0 if it doesn't."""
    asked = re.search(r"\bvolume (\S+)", request.headers.get("OpenStack-API-Version", ""))
    text = asked[1] if asked else "3.0"
    if text == "latest":
        return MAXIMUM
    match = re.fullmatch(r"(\d+)\.(\d+)", text)
    if match is None:
        raise Refused(400, f"API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum.")
    version = int(match[1]), int(match[2])
    if not MINIMUM <= version <= MAXIMUM:
        bounds = "Minimum is 3.0 and maximum is 3.71."
        raise Refused(406, f"Version {text} is not supported by the API. {bounds}")
    return version


def at_least(minor: int) -> bool:
    return bool(g.version >= (3, minor))


def version_document(cloud: Cloud) -> Json:
    media = {"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}
    return {
        "id": "v3.0",
        "status": "CURRENT",
        "version": f"{MAXIMUM[0]}.{MAXIMUM[1]}",
        "min_version": f"{MINIMUM[0]}.{MINIMUM[1]}",
        "updated": "2023-08-31T00:00:00Z",
        "links": [{"rel": "self", "href": f"{cloud.layout.url}/volume/v3/"}],
        "media-types": [media],
    }


def _volume_routes(api: Blueprint, cloud: Cloud) -> None:
    volumes = cloud.volumes

    def rows() -> list[Json]:
        return page(filtered([show(cloud, volume) for volume in volumes.all()]))

    @api.get(f"{BASE}/volumes")
    def brief() -> Json:
        return {"volumes": [{name: row[name] for name in ("id", "links", "name")} for row in rows()]}

    @api.get(f"{BASE}/volumes/detail")
    def detail() -> Json:
        return {"volumes": rows()}

    @api.get(f"{BASE}/volumes/summary")
    def summary() -> Json:
        found = volumes.all()
        return {"volume-summary": {"total_count": len(found), "total_size": sum(one.size for one in found)}}

    @api.post(f"{BASE}/volumes")
    def create() -> tuple[Json, int]:
        return {"volume": show(cloud, volumes.create(wish_of(body_of("volume"))))}, 202

    @api.get(f"{BASE}/volumes/<identity>")
    def one(identity: str) -> Json:
        return {"volume": show(cloud, volumes.get(identity))}

    @api.put(f"{BASE}/volumes/<identity>")
    def update(identity: str) -> Json:
        asked = body_of("volume")
        changes = {name: asked[name] for name in ("name", "description", "metadata") if name in asked}
        return {"volume": show(cloud, volumes.update(volumes.get(identity), **changes))}

    @api.delete(f"{BASE}/volumes/<identity>")
    def delete(identity: str) -> tuple[str, int]:
        volumes.delete(identity)
        return "", 202

    @api.post(f"{BASE}/volumes/<identity>/action")
    def action(identity: str) -> tuple[str, int]:
        return act(cloud, identity, sent())


def act(cloud: Cloud, identity: str, body: Json) -> tuple[str, int]:
    name, asked = next(iter(body.items()), ("", None))
    asked = asked if isinstance(asked, dict) else {}
    volume = cloud.volumes.get(identity)
    if name == "os-extend":
        cloud.volumes.extend(identity, whole("new_size", asked.get("new_size")), in_use=at_least(42))
        return "", 202
    if name == "os-set_bootable":
        cloud.volumes.update(volume, bootable=str(asked.get("bootable")).lower() == "true")
        return "", 200
    if name == "os-update_readonly_flag":
        return "", 202
    raise Refused(400, f"There is no such action: {name}")


def _metadata_routes(api: Blueprint, cloud: Cloud) -> None:
    volumes = cloud.volumes

    @api.get(f"{BASE}/volumes/<identity>/metadata")
    def metadata(identity: str) -> Json:
        return {"metadata": volumes.get(identity).metadata}

    @api.route(f"{BASE}/volumes/<identity>/metadata", methods=["POST", "PUT"])
    def set_metadata(identity: str) -> Json:
        volume, new = volumes.get(identity), texts(body_of("metadata"))
        merged = {**volume.metadata, **new} if request.method == "POST" else new
        return {"metadata": volumes.update(volume, metadata=merged).metadata}

    @api.delete(f"{BASE}/volumes/<identity>/metadata/<key>")
    def delete_metadata(identity: str, key: str) -> tuple[str, int]:
        volume = volumes.get(identity)
        if key not in volume.metadata:
            raise Refused(404, f"Volume {identity} has no metadata with key {key}.")
        volumes.update(volume, metadata={name: value for name, value in volume.metadata.items() if name != key})
        return "", 200


def _type_routes(api: Blueprint) -> None:
    @api.get(f"{BASE}/types")
    def types() -> Json:
        return {"volume_types": [show_type(name) for name in VOLUME_TYPES]}

    @api.get(f"{BASE}/types/<identity>")
    def one_type(identity: str) -> Json:
        return {"volume_type": show_type(VOLUME_TYPES[0] if identity == "default" else type_of(identity))}


def _project_routes(api: Blueprint, cloud: Cloud) -> None:
    quotas = cloud.networking.quotas

    @api.get(f"{BASE}/os-availability-zone")
    def zones() -> Json:
        return {"availabilityZoneInfo": [{"zoneName": zone, "zoneState": {"available": True}} for zone in ZONES]}

    @api.get(f"{BASE}/os-quota-sets/<identity>")
    def quota(identity: str) -> Json:
        limits: Json = dict(quotas.limits("volume"))
        if request.args.get("usage", "").lower() == "true":
            used = quotas.used("volume")
            limits = {name: {"limit": limits[name], "in_use": used[name], "reserved": 0} for name in limits}
        return {"quota_set": {"id": identity, **limits}}

    @api.put(f"{BASE}/os-quota-sets/<identity>")
    def set_quota(identity: str) -> Json:
        known = quotas.limits("volume")
        asked = body_of("quota_set")
        quotas.change("volume", {name: whole(name, value) for name, value in asked.items() if name in known})
        return {"quota_set": {"id": identity, **quotas.limits("volume")}}

    @api.get(f"{BASE}/limits")
    def limits() -> Json:
        allowed, used = quotas.limits("volume"), quotas.used("volume")
        absolute = {
            "maxTotalVolumes": allowed["volumes"],
            "maxTotalVolumeGigabytes": allowed["gigabytes"],
            "maxTotalSnapshots": allowed["snapshots"],
            "maxTotalBackups": allowed["backups"],
            "maxTotalBackupGigabytes": allowed["backup_gigabytes"],
            "totalVolumesUsed": used["volumes"],
            "totalGigabytesUsed": used["gigabytes"],
            "totalSnapshotsUsed": 0,
            "totalBackupsUsed": 0,
            "totalBackupGigabytesUsed": 0,
        }
        return {"limits": {"rate": [], "absolute": absolute}}

    @api.get(f"{BASE}/<any(snapshots, backups, extensions, attachments):kind>")
    @api.get(f"{BASE}/<any(snapshots, backups, attachments):kind>/detail")
    def nothing(kind: str) -> Json:
        return {kind: []}


def wish_of(asked: Json) -> VolumeWish:
    for unsupported in ("snapshot_id", "backup_id"):
        if asked.get(unsupported):
            words = f"{unsupported.partition('_')[0].capitalize()} {asked[unsupported]} could not be found."
            raise Refused(404, words)
    size = asked.get("size")
    return VolumeWish(
        size=0 if size is None else whole("size", size),
        name=str(asked.get("name") or ""),
        description=asked.get("description"),
        type=type_of(str(asked["volume_type"])) if asked.get("volume_type") else None,
        zone=asked.get("availability_zone"),
        metadata=texts(asked.get("metadata") or {}),
        image=asked.get("imageRef"),
        source=asked.get("source_volid"),
    )


def texts(metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Refused(400, f"Invalid input for field/attribute metadata. Value: {metadata}. Values must be strings")
    return metadata


def type_of(asked: str) -> str:
    """By name or id."""
    for name in VOLUME_TYPES:
        if asked in (name, builtin_id("volume type", name)):
            return name
    raise Refused(404, f"Volume type {asked} could not be found.")


def show_type(name: str) -> Json:
    return {
        "id": builtin_id("volume type", name),
        "name": name,
        "is_public": True,
        "description": None,
        "extra_specs": {},
        "qos_specs_id": None,
        "os-volume-type-access:is_public": True,
    }


def show(cloud: Cloud, volume: Volume) -> Json:
    href = f"{cloud.layout.url}/volume"
    shown: Json = {
        "id": volume.id,
        "name": volume.name,
        "description": volume.description,
        "size": volume.size,
        "status": volume.status,
        "volume_type": volume.type,
        "availability_zone": volume.zone,
        "bootable": str(volume.bootable).lower(),
        "attachments": [attached(one) for one in cloud.volumes.attachments(volume=volume.id)],
        "metadata": volume.metadata,
        "created_at": volume.created.rstrip("Z") + ".000000",
        "updated_at": volume.updated.rstrip("Z") + ".000000",
        "snapshot_id": None,
        "source_volid": volume.source_id,
        "encrypted": False,
        "multiattach": False,
        "replication_status": None,
        "consistencygroup_id": None,
        "migration_status": None,
        "user_id": USER,
        "os-vol-tenant-attr:tenant_id": PROJECT,
        "links": [
            {"rel": "self", "href": f"{href}/v3/{PROJECT}/volumes/{volume.id}"},
            {"rel": "bookmark", "href": f"{href}/{PROJECT}/volumes/{volume.id}"},
        ],
    }
    if volume.image_facts:
        shown["volume_image_metadata"] = volume.image_facts
    return shown


def attached(attachment: Attachment) -> Json:
    return {
        "id": attachment.volume_id,
        "attachment_id": attachment.id,
        "volume_id": attachment.volume_id,
        "server_id": attachment.server_id,
        "host_name": None,
        "device": attachment.device,
        "attached_at": attachment.created.rstrip("Z") + ".000000",
    }
