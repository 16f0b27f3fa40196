"""Orders for trouble, in devcloud's own words under /devcloud/faults: given, listed and taken back with any token."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from deploymachine.devcloud.api import UNAUTHENTICATED, Cloud, Json
from deploymachine.devcloud.state import Refused
from deploymachine.devcloud.trouble import show


def blueprint(cloud: Cloud) -> Blueprint:
    api = Blueprint("faults", __name__, url_prefix="/devcloud")

    @api.before_request
    def check() -> tuple[Response, int] | None:
        """Any token of this devcloud does, also one that was expired on request."""
        if cloud.signed(request.headers.get("X-Auth-Token")):
            return None
        return jsonify(error={"code": 401, "message": UNAUTHENTICATED}), 401

    @api.errorhandler(Refused)
    def refused(error: Refused) -> tuple[Response, int]:
        return jsonify(error={"code": error.status, "message": error.message}), error.status

    @api.get("/faults")
    def listing() -> Json:
        return {"faults": [show(order) for order in cloud.trouble.all()]}

    @api.post("/faults")
    def order() -> tuple[Json, int]:
        wish = request.get_json(silent=True)
        if not isinstance(wish, dict):
            raise Refused(400, "an order is a JSON object")
        return {"fault": show(cloud.trouble.order(wish))}, 201

    @api.delete("/faults")
    def clear() -> tuple[str, int]:
        cloud.trouble.clear()
        return "", 204

    @api.delete("/faults/<identity>")
    def take_back(identity: str) -> tuple[str, int]:
        if identity not in {order.id for order in cloud.trouble.all()}:
            raise Refused(404, f"no order {identity}")
        cloud.trouble.clear(identity)
        return "", 204

    return api
