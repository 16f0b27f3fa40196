"""A cloud goes in; the WSGI application that speaks OpenStack's HTTP for it comes out.

The services share one port, each under its path, as many public clouds have it: /identity, /compute, /image, /network.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Flask, Response, jsonify, request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from deploymachine.devcloud.compute import Compute
from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.machines import Machines
from deploymachine.devcloud.networking import Networking
from deploymachine.devcloud.state import Refused, Store, open_store

TOKEN_SECONDS = 4 * 3600
Json = dict[str, Any]


@dataclass(frozen=True)
class Cloud:
    """What every service of one devcloud works on."""

    layout: Layout
    store: Store
    networking: Networking
    compute: Compute

    def token(self) -> str:
        """Signed rather than stored, so it stays good across a restart."""
        return str(self._signer().dumps({"id": uuid.uuid4().hex}))

    def issued(self, token: str | None) -> float | None:
        """When a good token was issued (seconds since 1970); None for any other."""
        try:
            _, moment = self._signer().loads(token or "", max_age=TOKEN_SECONDS, return_timestamp=True)
        except BadSignature:
            return None
        return float(moment.timestamp())

    def _signer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self.layout.secret)


def open_cloud(layout: Layout, machines: Machines) -> Cloud:
    store = open_store(layout)
    networking = Networking(store, machines)
    return Cloud(layout, store, networking, Compute(store, networking, machines))


def create_app(cloud: Cloud) -> Flask:
    # each service imports what is below from here
    from deploymachine.devcloud import api_compute, api_identity, api_image, api_network, api_servers

    app = Flask("devcloud", static_folder=None)
    app.url_map.strict_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    for service in (api_identity, api_compute, api_servers, api_image, api_network):
        app.register_blueprint(service.blueprint(cloud))
    app.after_request(_with_request_id)
    return app


def guard(blueprint: Blueprint, cloud: Cloud, *open_endpoints: str) -> None:
    """Let only requests with a good token through, but for discovery."""

    @blueprint.before_request
    def check() -> tuple[Response, int, Json] | None:
        name = (request.endpoint or "").rpartition(".")[2]
        if name in open_endpoints or cloud.issued(request.headers.get("X-Auth-Token")) is not None:
            return None
        body = {"error": {"code": 401, "title": "Unauthorized", "message": UNAUTHENTICATED}}
        return jsonify(body), 401, {"WWW-Authenticate": f'Keystone uri="{cloud.layout.url}/identity/v3"'}


UNAUTHENTICATED = "The request you have made requires authentication."


def body_of(name: str) -> Json:
    """The object under that key of the request's JSON, where OpenStack wraps everything."""
    body = request.get_json(silent=True)
    if not isinstance(body, dict) or not isinstance(body.get(name), dict):
        raise Refused(400, f"'{name}' is a required property")
    return dict(body[name])


def page(rows: list[Json], key: str = "id") -> list[Json]:
    """The rows after the request's `marker`, at most its `limit`."""
    marker, limit = request.args.get("marker"), request.args.get("limit")
    if marker is not None:
        at = next((at for at, row in enumerate(rows) if row[key] == marker), None)
        if at is None:
            raise Refused(400, f"marker [{marker}] not found")
        rows = rows[at + 1 :]
    if limit is None:
        return rows
    if not limit.isdigit():
        words = f"Invalid input for query parameters limit. Value: {limit}. '{limit}' does not match '^[0-9]*$'"
        raise Refused(400, words)
    return rows[: int(limit)] if int(limit) else rows


def filtered(rows: list[Json]) -> list[Json]:
    """The rows that match the request's query, where it names fields they have."""
    for name in request.args:
        wanted = [value.lower() for value in request.args.getlist(name)]
        if wanted and name not in PAGING:
            rows = [row for row in rows if name not in row or _text(row[name]) in wanted]
    return rows


PAGING = {"limit", "marker", "sort_key", "sort_dir", "fields", "page_reverse"}


def html_error(status: int, title: str, message: str) -> tuple[str, int, Json]:
    """How WebOb answers where a service has no JSON for it."""
    page_text = f"<html>\n <head>\n  <title>{status} {title}</title>\n </head>\n <body>\n  <h1>{status} {title}</h1>\n"
    return f"{page_text}  {message}<br /><br />\n\n\n\n </body>\n</html>", status, {"Content-Type": "text/html"}


def _text(value: object) -> str:
    return "" if value is None else str(value).lower()


def _with_request_id(response: Response) -> Response:
    response.headers["x-openstack-request-id"] = f"req-{uuid.uuid4()}"
    return response
