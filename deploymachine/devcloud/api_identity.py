"""Keystone v3: password and token authentication, the catalogue, token checks and the one project."""

from __future__ import annotations

import hmac
import uuid
from datetime import datetime, timedelta, timezone

from flask import Blueprint, Response, jsonify, request

from deploymachine.devcloud import api_credentials
from deploymachine.devcloud.api import TOKEN_SECONDS, UNAUTHENTICATED, Cloud, Json, challenge, filtered, guard, sent
from deploymachine.devcloud.state import PROJECT, USER, Refused, builtin_id

DOMAIN = {"id": "default", "name": "Default"}
NAME = "devcloud"  # of the user, the project, the region and the entry in clouds.yaml
SERVICES = {
    "compute": ("nova", "/compute/v2.1"),
    "identity": ("keystone", "/identity/v3/"),
    "network": ("neutron", "/network"),
    "image": ("glance", "/image"),
    "block-storage": ("cinder", f"/volume/v3/{PROJECT}"),
    "volumev3": ("cinderv3", f"/volume/v3/{PROJECT}"),
}
TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}


def blueprint(cloud: Cloud) -> Blueprint:
    api = Blueprint("identity", __name__, url_prefix="/identity")
    guard(api, cloud, "versions", "version", "authenticate")
    base = f"{cloud.layout.url}/identity/v3/"

    @api.errorhandler(Refused)
    def refused(error: Refused) -> tuple[Response, int, Json]:
        body = {"code": error.status, "message": error.message, "title": TITLES.get(error.status, "Error")}
        return jsonify(error=body), error.status, challenge(cloud) if error.status == 401 else {}

    @api.after_request
    def varied(response: Response) -> Response:
        response.headers["Vary"] = "X-Auth-Token"
        return response

    @api.get("/")
    def versions() -> tuple[Response, int]:
        return jsonify(versions={"values": [version_document(base)]}), 300

    @api.get("/v3")
    def version() -> Json:
        return {"version": version_document(base)}

    @api.post("/v3/auth/tokens")
    def authenticate() -> tuple[Response, int, Json]:
        method, credential = check(cloud, sent())
        token = cloud.token(credential)
        return jsonify(token=token_body(cloud, token, method)), 201, {"X-Subject-Token": token}

    @api.get("/v3/auth/tokens")
    def validate() -> tuple[Response, int, Json]:
        token = subject(cloud)
        method = "application_credential" if cloud.credential(token) else "password"
        return jsonify(token=token_body(cloud, token, method)), 200, {"X-Subject-Token": token}

    @api.delete("/v3/auth/tokens")
    def revoke() -> tuple[str, int]:
        subject(cloud)
        return "", 204

    _project_routes(api, cloud, base)
    api_credentials.register(api, cloud, base)
    return api


def _project_routes(api: Blueprint, cloud: Cloud, base: str) -> None:
    @api.get("/v3/auth/catalog")
    def catalog() -> Json:
        return {"catalog": catalogue(cloud), "links": {"self": f"{base}auth/catalog"}}

    @api.get("/v3/projects")
    @api.get("/v3/auth/projects")
    @api.get(f"/v3/users/{USER}/projects")
    def projects() -> Json:
        links = {"next": None, "self": request.url, "previous": None}
        return {"projects": filtered([project(base)]), "links": links}

    @api.get("/v3/projects/<identity>")
    def show_project(identity: str) -> Json:
        if identity != PROJECT:
            raise Refused(404, f"Could not find project: {identity}.")
        return {"project": project(base)}


def version_document(base: str) -> Json:
    media = [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}]
    links = [{"rel": "self", "href": base}]
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": links,
        "media-types": media,
    }


def check(cloud: Cloud, body: Json) -> tuple[str, str]:
    """The method that proved who asks, and the id of the application credential if that did; for the one project.

    Raises Refused in Keystone's words.
    """
    auth = _object(body, "auth")
    identity = _object(auth, "identity")
    project_asked = _object(_object(auth, "scope"), "project")
    if project_asked and project_asked.get("id") != PROJECT and project_asked.get("name") != NAME:
        raise Refused(401, UNAUTHENTICATED)
    methods = identity.get("methods") or []
    token = _object(identity, "token").get("id")
    if "token" in methods and cloud.issued(token) is not None:
        used = cloud.credential(token)
        return "token", used.id if used else ""
    if "application_credential" in methods:
        credential = api_credentials.proved(cloud, _object(identity, "application_credential"))
        if credential is not None:
            return "application_credential", credential.id
    if "password" in methods and _right_password(cloud, _object(_object(identity, "password"), "user")):
        return "password", ""
    raise Refused(401, UNAUTHENTICATED)


def _object(body: Json, name: str) -> Json:
    """The object under that name; an empty one if it is anything else."""
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _right_password(cloud: Cloud, user: Json) -> bool:
    known = user.get("id") == USER or user.get("name") == NAME
    password = str(user.get("password", ""))
    return known and hmac.compare_digest(password.encode(), cloud.layout.password.encode())


def subject(cloud: Cloud) -> str:
    token = request.headers.get("X-Subject-Token", "")
    if cloud.issued(token) is None:
        raise Refused(404, f"Could not find token: {token}.")
    return token


def token_body(cloud: Cloud, token: str, method: str) -> Json:
    issued = datetime.fromtimestamp(cloud.issued(token) or 0, timezone.utc)
    used = cloud.credential(token)
    named = {"id": used.id, "name": used.name, "restricted": not used.unrestricted} if used else None
    return {
        "methods": [method],
        "user": {"domain": DOMAIN, "id": USER, "name": NAME, "password_expires_at": None},
        "audit_ids": [uuid.uuid4().hex[:22]],
        "expires_at": f"{issued + timedelta(seconds=TOKEN_SECONDS):%Y-%m-%dT%H:%M:%S.000000Z}",
        "issued_at": f"{issued:%Y-%m-%dT%H:%M:%S.000000Z}",
        "project": {"domain": DOMAIN, "id": PROJECT, "name": NAME},
        "is_domain": False,
        "roles": [{"id": builtin_id("role", name).replace("-", ""), "name": name} for name in api_credentials.ROLES],
        "catalog": catalogue(cloud),
        **({"application_credential": named} if named else {}),
    }


def catalogue(cloud: Cloud) -> list[Json]:
    return [
        {
            "endpoints": [
                {
                    "id": builtin_id("endpoint", kind, interface).replace("-", ""),
                    "interface": interface,
                    "region_id": NAME,
                    "region": NAME,
                    "url": cloud.layout.url + path,
                }
                for interface in ("admin", "public", "internal")
            ],
            "id": builtin_id("service", kind).replace("-", ""),
            "type": kind,
            "name": name,
        }
        for kind, (name, path) in SERVICES.items()
    ]


def project(base: str) -> Json:
    return {
        "id": PROJECT,
        "name": NAME,
        "domain_id": DOMAIN["id"],
        "description": "",
        "enabled": True,
        "parent_id": DOMAIN["id"],
        "is_domain": False,
        "tags": [],
        "options": {},
        "links": {"self": f"{base}projects/{PROJECT}"},
    }
