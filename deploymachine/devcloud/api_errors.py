"""What no route answers, and what fails unexpectedly, goes in; each service's own words for it come out.

So a client sees the error of a cloud whatever it sends, and never a traceback; that goes to the daemon's log.
"""

from __future__ import annotations

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from deploymachine.devcloud.api import Json, html_error

TITLES = {404: "Not Found", 405: "Method Not Allowed", 500: "Internal Server Error"}
WORDS = {
    404: "The resource could not be found.",
    405: "The method is not allowed for this resource.",
    500: "An unexpected error prevented the server from fulfilling your request.",
}
NOVA = {404: "itemNotFound", 405: "badMethod", 500: "computeFault"}
NEUTRON = {404: "HTTPNotFound", 405: "HTTPMethodNotAllowed", 500: "HTTPInternalServerError"}


def register(app: Flask) -> None:
    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[Response | str, int, Json]:
        return told(error.code or 500)

    @app.errorhandler(Exception)
    def failed(error: Exception) -> tuple[Response | str, int, Json]:
        app.logger.exception("%s %s", request.method, request.path, exc_info=error)
        return told(500)


def told(status: int) -> tuple[Response | str, int, Json]:
    """As the service tells it that the path belongs to."""
    service, title = request.path.split("/")[1], TITLES.get(status, "Error")
    words = WORDS.get(status, title)
    body: Json
    if service in ("compute", "volume"):
        body = {NOVA.get(status, "computeFault"): {"code": status, "message": words}}
    elif service == "network":
        body = {"NeutronError": {"type": NEUTRON.get(status, "HTTPError"), "message": words, "detail": ""}}
    elif service == "image":
        return html_error(status, title, words)
    else:
        body = {"error": {"code": status, "message": words, "title": title}}
    return jsonify(body), status, {}
