"""Glance v2: images listed, shown, made, changed, deleted; those to boot from are devcloud's own and snapshots."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, jsonify, request

from deploymachine.devcloud.api import Cloud, Json, filtered, guard, html_error, page, sent
from deploymachine.devcloud.assets import Image
from deploymachine.devcloud.state import OTHERS, PROJECT, Refused

MINORS = (15, 13, 12, 11, 10, 9, 8, 17, 7, 6, 5, 4, 3, 2, 1, 0)  # as Glance has them, in its order
TITLES = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 409: "Conflict", 415: "Unsupported Media Type"}
PATCH = "application/openstack-images-v2.1-json-patch"


def blueprint(cloud: Cloud) -> Blueprint:
    api = Blueprint("image", __name__, url_prefix="/image")
    guard(api, cloud, "versions")

    @api.errorhandler(Refused)
    def refused(error: Refused) -> tuple[str, int, Json]:
        return html_error(error.status, TITLES.get(error.status, "Error"), error.message)

    @api.get("/")
    def versions() -> tuple[Response, int]:
        link = [{"rel": "self", "href": f"{cloud.layout.url}/image/v2/"}]
        current = max(MINORS)
        rows = [
            {"id": f"v2.{minor}", "status": "CURRENT" if minor == current else "SUPPORTED", "links": link}
            for minor in MINORS
        ]
        return jsonify(versions=rows), 300

    @api.get("/v2/images")
    def list_images() -> Json:
        return listed([show(image) for image in cloud.images.all() if image.hidden == _hidden_wanted()])

    @api.get("/v2/images/<identity>")
    def show_image(identity: str) -> Json:
        return show(cloud.images.get(identity))

    _change_routes(api, cloud)
    return api


def _change_routes(api: Blueprint, cloud: Cloud) -> None:
    images = cloud.images
    empty = {"Content-Type": "text/html; charset=UTF-8"}

    @api.post("/v2/images")
    def create() -> tuple[Json, int, Json]:
        image = images.create(sent())
        return show(image), 201, {"Location": f"{cloud.layout.url}/image/v2/images/{image.id}"}

    @api.put("/v2/images/<identity>/file")
    def upload(identity: str) -> tuple[str, int, Json]:
        images.upload(identity, request.get_data())
        return "", 204, empty

    @api.get("/v2/images/<identity>/file")
    def download(identity: str) -> tuple[str, int, Json]:
        images.get(identity)
        return "", 204, empty  # as Glance answers for an image without data of its own

    @api.patch("/v2/images/<identity>")
    def change(identity: str) -> Json:
        if not (request.content_type or "").startswith("application/openstack-images-v2"):
            raise Refused(415, f"Unsupported Content-Type, expected {PATCH}")
        operations = request.get_json(force=True, silent=True)
        if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
            raise Refused(400, "Request body must be a JSON array of operation objects.")
        return show(images.patch(identity, operations))

    @api.delete("/v2/images/<identity>")
    def delete(identity: str) -> tuple[str, int, Json]:
        images.delete(identity)
        return "", 204, empty

    @api.post("/v2/images/<identity>/actions/<any(deactivate, reactivate):action>")
    def activate(identity: str, action: str) -> tuple[str, int, Json]:
        images.change(identity, status="deactivated" if action == "deactivate" else "active")
        return "", 204, empty

    @api.route("/v2/images/<identity>/tags/<tag>", methods=["PUT", "DELETE"])
    def tag(identity: str, tag: str) -> tuple[str, int, Json]:
        others = [one for one in images.get(identity).tags if one != tag]
        images.change(identity, tags=[*others, tag] if request.method == "PUT" else others)
        return "", 204, empty


def _hidden_wanted() -> bool:
    return request.args.get("os_hidden", "").lower() == "true"


def listed(rows: list[Json]) -> Json:
    """The rows the query asks for, with Glance's links to this page and the next."""
    wanted = request.args.get("id", "")
    several = wanted.startswith("in:")  # how the command line asks for several at once
    rows = [row for row in rows if row["id"] in wanted[3:].split(",")] if several else filtered(rows)
    shown = page(rows)
    plain = {name: value for name, value in request.args.items() if name != "marker"}
    query = f"?{urlencode(plain)}" if plain else ""
    body = {"images": shown, "first": f"/v2/images{query}", "schema": "/v2/schemas/images"}
    if shown and "limit" in request.args and len(shown) == int(request.args["limit"]):
        body["next"] = "/v2/images?" + urlencode({**plain, "marker": shown[-1]["id"]})
    return body


def show(image: Image) -> Json:
    shown: Json = {
        **image.properties,
        "name": image.name,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "visibility": image.visibility,
        "size": image.size,
        "virtual_size": image.size or None,
        "status": image.status,
        "checksum": image.checksum,
        "protected": image.protected,
        "min_ram": image.min_ram,
        "min_disk": image.min_disk,
        "owner": OTHERS if image.visibility == "public" else PROJECT,
        "os_hidden": image.hidden,
        "os_hash_algo": "sha512" if image.sha512 else None,
        "os_hash_value": image.sha512,
        "id": image.id,
        "created_at": image.created,
        "updated_at": image.updated,
        "tags": image.tags,
        "self": f"/v2/images/{image.id}",
        "file": f"/v2/images/{image.id}/file",
        "schema": "/v2/schemas/image",
    }
    return {**shown, "stores": "fs"} if image.size is not None else shown
