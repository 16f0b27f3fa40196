"""Glance v2: listing and showing the images; they are made by devcloud itself, so there is no upload."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, jsonify, request

from deploymachine.devcloud.api import Cloud, Json, filtered, guard, html_error, page
from deploymachine.devcloud.state import IMAGES, PROJECT, Image, Refused

MINORS = range(18)
TITLES = {400: "Bad Request", 404: "Not Found"}


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
            for minor in reversed(MINORS)
        ]
        return jsonify(versions=rows), 300

    @api.get("/v2/images")
    def list_images() -> Json:
        rows = [show(image) for image in IMAGES]
        wanted = request.args.get("id", "")
        if wanted.startswith("in:"):  # how the command line asks for several at once
            rows = [row for row in rows if row["id"] in wanted[3:].split(",")]
        else:
            rows = filtered(rows)
        shown = page(rows)
        query = f"?{request.query_string.decode()}" if request.query_string else ""
        body = {"images": shown, "first": f"/v2/images{query}", "schema": "/v2/schemas/images"}
        if "limit" in request.args and len(shown) == int(request.args["limit"]):
            body["next"] = "/v2/images?" + urlencode({**request.args, "marker": shown[-1]["id"]})
        return body

    @api.get("/v2/images/<identity>")
    def show_image(identity: str) -> Json:
        for image in IMAGES:
            if image.id == identity:
                return show(image)
        raise Refused(404, f"No image found with ID {identity}")

    return api


def show(image: Image) -> Json:
    return {
        "os_distro": "debian",
        "os_version": image.version,
        "name": image.name,
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "public",
        "size": 0,
        "virtual_size": None,
        "status": "active",
        "checksum": None,
        "protected": True,
        "min_ram": 0,
        "min_disk": 0,
        "owner": PROJECT,
        "os_hidden": False,
        "os_hash_algo": None,
        "os_hash_value": None,
        "id": image.id,
        "created_at": image.created,
        "updated_at": image.created,
        "tags": [],
        "self": f"/v2/images/{image.id}",
        "file": f"/v2/images/{image.id}/file",
        "schema": "/v2/schemas/image",
    }
