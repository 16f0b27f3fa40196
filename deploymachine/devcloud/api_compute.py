"""Nova v2.1 but for servers: versions, flavors, keypairs, limits, quotas, zones; and what both halves share."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from flask import Blueprint, Response, g, jsonify, request

from deploymachine.devcloud import keypairs
from deploymachine.devcloud.api import Cloud, Json, body_of, guard, html_error, page
from deploymachine.devcloud.scheduler import ZONES
from deploymachine.devcloud.state import FLAVORS, USER, Flavor, Keypair, Refused

MINIMUM, MAXIMUM, LATEST = (2, 1), (2, 104), (-1, -1)
KINDS = {400: "badRequest", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest", 413: "overLimit"}


def nova(name: str, cloud: Cloud, *open_endpoints: str) -> Blueprint:
    """A blueprint that checks tokens, negotiates the microversion and refuses as Nova does."""
    api = Blueprint(name, __name__, url_prefix="/compute")

    guard(api, cloud, *open_endpoints)

    @api.before_request
    def negotiate() -> None:
        g.version = microversion()
        newest = newest_of(cloud)
        if g.version == LATEST:
            g.version = newest
        if not MINIMUM <= g.version <= newest:
            bounds = f"Minimum is {_text(MINIMUM)} and maximum is {_text(newest)}."
            raise Refused(406, f"Version {_text(g.version)} is not supported by the API. {bounds}")

    @api.errorhandler(Refused)
    def refused(error: Refused) -> tuple[Response, int, Json]:
        kind = KINDS.get(error.status, "computeFault")
        body = jsonify({kind: {"code": error.status, "message": error.message}})
        return body, error.status, {"Content-Type": "application/json; charset=UTF-8"}

    @api.after_request
    def versioned(response: Response) -> Response:
        if not response.data and response.status_code in (202, 204):
            response.content_type = "application/json"
        if "version" not in g:  # not got as far as that
            return response
        response.headers["OpenStack-API-Version"] = f"compute {_text(g.version)}"
        response.headers["X-OpenStack-Nova-API-Version"] = _text(g.version)
        response.headers["Vary"] = "OpenStack-API-Version, X-OpenStack-Nova-API-Version"
        return response

    return api


def newest_of(cloud: Cloud) -> tuple[int, int]:
    """The newest microversion that this devcloud offers."""
    major, minor = map(int, cloud.layout.microversion.split("."))
    return min((major, minor), MAXIMUM)


def microversion() -> tuple[int, int]:
    """What the request asks for; 2.1 if it doesn't."""
    asked = request.headers.get("OpenStack-API-Version", "")
    text = next((part.split()[-1] for part in asked.split(",") if part.split()[:1] == ["compute"]), None)
    text = text or request.headers.get("X-OpenStack-Nova-API-Version") or "2.1"
    if text == "latest":
        return LATEST
    match = re.fullmatch(r"(\d+)\.(\d+)", text)
    if match is None:
        words = f"API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum."
        raise Refused(400, words)
    return int(match[1]), int(match[2])


def at_least(minor: int) -> bool:
    """Whether this request speaks microversion 2.minor or newer."""
    return bool(g.version >= (2, minor))


def blueprint(cloud: Cloud) -> Blueprint:
    api = nova("compute", cloud, "versions", "version")

    @api.get("/")
    def versions() -> Json:
        return {"versions": [version_document(cloud)]}

    @api.get("/v2.1")
    def version() -> Json:
        return {"version": version_document(cloud)}

    @api.get("/v2.1/os-availability-zone")
    def zones() -> Json:
        up = {"zoneState": {"available": True}, "hosts": None}
        return {"availabilityZoneInfo": [{"zoneName": zone, **up} for zone in ZONES]}

    @api.get("/v2.1/os-availability-zone/detail")
    def zones_detail() -> Json:
        raise Refused(403, "Policy doesn't allow os_compute_api:os-availability-zone:detail to be performed.")

    @api.get("/v2.1/extensions")
    def extensions() -> Json:
        return {"extensions": []}

    @api.route("/v2.1/<path:_rest>", methods=["GET", "POST", "PUT", "DELETE"])
    def nothing(_rest: str) -> tuple[str, int, Json]:
        g.pop("version")
        return html_error(404, "Not Found", "The resource could not be found.")

    _flavor_routes(api, cloud)
    _keypair_routes(api, cloud)
    return api


def _flavor_routes(api: Blueprint, cloud: Cloud) -> None:
    def flavors() -> list[Json]:
        return [show_flavor(cloud, flavor) for flavor in sorted(FLAVORS, key=lambda flavor: flavor.id)]

    @api.get("/v2.1/flavors")
    def list_flavors() -> Json:
        shown = [name for name in ("id", "name", "description", "links") if name != "description" or at_least(55)]
        return with_next("flavors", [{name: row[name] for name in shown} for row in page(flavors())])

    @api.get("/v2.1/flavors/detail")
    def detail_flavors() -> Json:
        return with_next("flavors", page(flavors()))

    @api.post("/v2.1/flavors")
    def create_flavor() -> Json:
        raise Refused(403, "Policy doesn't allow os_compute_api:os-flavor-manage:create to be performed.")

    @api.get("/v2.1/flavors/<identity>")
    def flavor(identity: str) -> Json:
        return {"flavor": show_flavor(cloud, cloud.compute.flavor(identity))}

    @api.get("/v2.1/flavors/<identity>/os-extra_specs")
    def extra_specs(identity: str) -> Json:
        cloud.compute.flavor(identity)
        return {"extra_specs": {}}


def _keypair_routes(api: Blueprint, cloud: Cloud) -> None:
    def find(name: str) -> Keypair:
        found = cloud.store.get(Keypair, name)
        if found is None:
            raise Refused(404, f"Keypair {name} not found for user {USER}")
        return found

    @api.get("/v2.1/os-keypairs")
    def list_keypairs() -> Json:
        rows = [show_keypair(keypair) for keypair in cloud.store.all(Keypair)]
        return {"keypairs": [{"keypair": row} for row in page(rows, "name")]}

    @api.post("/v2.1/os-keypairs")
    def create_keypair() -> tuple[Json, int]:
        body = body_of("keypair")
        name = str(body.get("name", ""))
        if cloud.store.get(Keypair, name) is not None:
            raise Refused(409, f"Key pair '{name}' already exists.")
        cloud.networking.quotas.check_keypair()
        if body.get("public_key"):
            keypair, secret = keypairs.imported(name, body["public_key"]), {}
        elif at_least(92):
            raise Refused(400, "Invalid input for field/attribute keypair. 'public_key' is a required property")
        else:
            keypair, private = keypairs.generated(name)
            secret = {"private_key": private}
        cloud.store.put(keypair)
        return {"keypair": {**secret, **show_keypair(keypair), "user_id": USER}}, 201 if at_least(2) else 200

    @api.get("/v2.1/os-keypairs/<name>")
    def keypair(name: str) -> Json:
        found = find(name)
        facts = {"created_at": found.created.rstrip("Z") + ".000000", "deleted": False, "deleted_at": None, "id": 1}
        return {"keypair": {**show_keypair(found), "user_id": USER, **facts, "updated_at": None}}

    @api.delete("/v2.1/os-keypairs/<name>")
    def delete_keypair(name: str) -> tuple[str, int]:
        cloud.store.drop(find(name))
        return "", 204 if at_least(2) else 202


def version_document(cloud: Cloud) -> Json:
    described = {"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"}
    media = {"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": _text(newest_of(cloud)),
        "min_version": _text(MINIMUM),
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": f"{cloud.layout.url}/compute/v2.1/"}, described],
        "media-types": [media],
    }


def with_next(name: str, rows: list[Json]) -> Json:
    """With Nova's link to the next page, if this one is full."""
    limit = request.args.get("limit", "")
    if not rows or not limit.isdigit() or len(rows) < int(limit):
        return {name: rows}
    href = f"{request.base_url}?{urlencode(sorted({**request.args, 'marker': rows[-1]['id']}.items()))}"
    return {name: rows, f"{name}_links": [{"rel": "next", "href": href}]}


def links(cloud: Cloud, kind: str, identity: str) -> list[Json]:
    base = f"{cloud.layout.url}/compute"
    return [
        {"rel": "self", "href": f"{base}/v2.1/{kind}/{identity}"},
        {"rel": "bookmark", "href": f"{base}/{kind}/{identity}"},
    ]


def show_flavor(cloud: Cloud, flavor: Flavor) -> Json:
    shown: Json = {
        "id": flavor.id,
        "name": flavor.name,
        "ram": flavor.ram,
        "disk": flavor.disk,
        "swap": 0 if at_least(75) else "",
        "OS-FLV-EXT-DATA:ephemeral": 0,
        "OS-FLV-DISABLED:disabled": False,
        "vcpus": flavor.vcpus,
        "os-flavor-access:is_public": True,
        "rxtx_factor": 1.0,
        "links": links(cloud, "flavors", flavor.id),
    }
    if at_least(55):
        shown["description"] = None
    if at_least(61):
        shown["extra_specs"] = {}
    return shown


def show_keypair(keypair: Keypair) -> Json:
    shown = {"name": keypair.id, "public_key": keypair.public_key, "fingerprint": keypair.fingerprint}
    return {**shown, "type": "ssh"} if at_least(2) else shown


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
