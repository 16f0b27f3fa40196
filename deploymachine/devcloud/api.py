"""A cloud goes in; the WSGI application that speaks OpenStack's HTTP for it comes out.

The services share one port, each under its path, as many public clouds have it: /identity, /compute, /image, /network.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Flask, Response, g, jsonify, request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from deploymachine.devcloud.compute import Compute
from deploymachine.devcloud.images import Images
from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.machines import Machines
from deploymachine.devcloud.networking import Networking
from deploymachine.devcloud.state import Credential, Refused, Store, open_store
from deploymachine.devcloud.trouble import Trouble, Troubled
from deploymachine.devcloud.volumes import Volumes
from deploymachine.devcloud.work import Work

TOKEN_SECONDS = 4 * 3600
Json = dict[str, Any]


@dataclass(frozen=True)
class Cloud:
    """What every service of one devcloud works on."""

    layout: Layout
    store: Store
    networking: Networking
    compute: Compute
    images: Images
    volumes: Volumes
    trouble: Trouble

    def token(self, credential: str = "") -> str:
        """Signed rather than stored, so it stays good across a restart. credential: the id of the one it is for."""
        return sign(self.layout, {"credential": credential, "epoch": self.trouble.epoch})

    def issued(self, token: str | None) -> float | None:
        """When a good token was issued (seconds since 1970); None for any other."""
        content, moment = self._content(token)
        gone = content.get("credential") and self.credential(token) is None
        return None if gone or content.get("epoch", 0) != self.trouble.epoch else moment

    def signed(self, token: str | None) -> bool:
        """Whether a token is from here, though expired on request."""
        return self._content(token)[1] is not None

    def credential(self, token: str | None) -> Credential | None:
        """The application credential that a good token was issued for."""
        return self.store.get(Credential, self._content(token)[0].get("credential"))

    def _content(self, token: str | None) -> tuple[Json, float | None]:
        try:
            content, moment = signer(self.layout).loads(token or "", max_age=TOKEN_SECONDS, return_timestamp=True)
        except BadSignature:
            return {}, None
        return content, float(moment.timestamp())


def sign(layout: Layout, content: Json) -> str:
    """A token of that devcloud."""
    return str(signer(layout).dumps({"id": uuid.uuid4().hex, **content}))


def signer(layout: Layout) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(layout.secret)


def open_cloud(layout: Layout, machines: Machines) -> Cloud:
    store = open_store(layout)
    networking = Networking(store, machines)
    images, work = Images(store, machines), Work()
    volumes = Volumes(store, images, machines, work, networking.quotas)
    compute = Compute(store, networking, machines, images, volumes, work)
    compute.confirm_window = layout.confirm_window
    return Cloud(layout, store, networking, compute, images, volumes, compute.trouble)


def create_app(cloud: Cloud) -> Flask:
    # each service imports what is below from here
    from deploymachine.devcloud import (
        api_compute,
        api_errors,
        api_faults,
        api_identity,
        api_image,
        api_network,
        api_servers,
        api_volume,
    )

    app = Flask("devcloud", static_folder=None)
    app.url_map.strict_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    for service in (api_identity, api_compute, api_servers, api_image, api_network, api_volume, api_faults):
        app.register_blueprint(service.blueprint(cloud))
    api_errors.register(app)
    app.before_request(_name_request)
    app.after_request(_with_request_id)
    app.wsgi_app = Troubled(app.wsgi_app, cloud.trouble)  # type: ignore[assignment, method-assign]
    return app


def guard(blueprint: Blueprint, cloud: Cloud, *open_endpoints: str) -> None:
    """Let only requests with a good token through, but for discovery."""

    @blueprint.before_request
    def check() -> tuple[Response, int, Json] | None:
        name = (request.endpoint or "").rpartition(".")[2]
        if name in open_endpoints or cloud.issued(request.headers.get("X-Auth-Token")) is not None:
            return None
        body = {"error": {"code": 401, "title": "Unauthorized", "message": UNAUTHENTICATED}}
        return jsonify(body), 401, challenge(cloud)


def challenge(cloud: Cloud) -> Json:
    """The header that tells where to log in."""
    return {"WWW-Authenticate": f'Keystone uri="{cloud.layout.url}/identity/v3"'}


UNAUTHENTICATED = "The request you have made requires authentication."


def sent() -> Json:
    """The request's JSON object; an empty one if it is anything else."""
    body = request.get_json(silent=True)
    return body if isinstance(body, dict) else {}


def body_of(name: str) -> Json:
    """The object under that key of the request's JSON, where OpenStack wraps everything."""
    body = sent()
    if not isinstance(body.get(name), dict):
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


def filtered(rows: list[Json], *beside: str) -> list[Json]:
    """The rows that match the request's query, where it names fields they have. beside: names not to look at."""
    for name in request.args:
        wanted = [value.lower() for value in request.args.getlist(name)]
        if wanted and name not in PAGING and name not in beside:
            rows = [row for row in rows if name not in row or _text(row[name]) in wanted]
    return rows


PAGING = {"limit", "marker", "sort_key", "sort_dir", "fields", "page_reverse"}


def html_error(status: int, title: str, message: str) -> tuple[str, int, Json]:
    """How WebOb answers where a service has no JSON for it."""
    page_text = f"<html>\n <head>\n  <title>{status} {title}</title>\n </head>\n <body>\n  <h1>{status} {title}</h1>\n"
    headers = {"Content-Type": "text/html; charset=UTF-8"}
    return f"{page_text}  {message}<br /><br />\n\n\n\n </body>\n</html>", status, headers


def _text(value: object) -> str:
    return "" if value is None else str(value).lower()


def _name_request() -> None:
    g.request_id = f"req-{uuid.uuid4()}"


def _with_request_id(response: Response) -> Response:
    if request.path not in NAMELESS:
        response.headers["x-openstack-request-id"] = g.request_id
    if request.path.startswith("/compute"):
        response.headers["x-compute-request-id"] = g.request_id
    if request.path.startswith("/network") and response.status_code == 204:
        del response.headers["Content-Type"]
    return response


NAMELESS = {"/image", "/image/"}  # Glance's list of versions
