"""A kind of thing that Neutron keeps goes in; its routes come out: list, show, create (one or many), update, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, request

from deploymachine.devcloud.api import Cloud, Json, filtered, page, sent
from deploymachine.devcloud.networking import Networking
from deploymachine.devcloud.state import Refused, Value

NESTED = ("fixed_ips", "security_groups")


class Collection:
    """posts, puts: the attributes that may be given when one is made, and changed later, in one text."""

    def __init__(
        self,
        name: str,
        kind: type[Any],
        show: Callable[[Cloud, Any], Json],
        create: Callable[[Networking, Json], Value],
        delete: str,
        posts: str,
        update: Callable[[Networking, str, Json], Value] | None = None,
        puts: str = "",
    ) -> None:
        self.name, self.kind, self.show = name, kind, show
        self.create, self.update, self.delete = create, update, delete
        self.posts, self.puts = posts.split(), puts.split()
        self.plural = name.replace("-", "_")
        self.singular = self.plural[:-1]

    def register(self, api: Blueprint, cloud: Cloud) -> None:
        networking = cloud.networking

        def listing() -> Json:
            rows = ordered(matching([self.show(cloud, value) for value in cloud.store.all(self.kind)]))
            shown = page(rows)
            return {self.plural: [chosen(row) for row in shown], **self._links(rows, shown)}

        def showing(identity: str) -> Json:
            return {self.singular: chosen(self.show(cloud, networking.get(self.kind, identity)))}

        def creating() -> tuple[Json, int]:
            many = sent().get(self.plural)
            wanted = many if isinstance(many, list) else [self._body()]
            for body in wanted:
                self._check(body, self.posts, "Attribute '{}' not allowed in POST")
            made = [self.show(cloud, self.create(networking, body)) for body in wanted]
            return ({self.plural: made} if isinstance(many, list) else {self.singular: made[0]}), 201

        def updating(identity: str) -> Json:
            networking.get(self.kind, identity)
            body = self._body()
            self._check(body, self.puts, "Cannot update read-only attribute {}")
            assert self.update is not None  # noqa: S101 - for the type checker; registered only then
            return {self.singular: self.show(cloud, self.update(networking, identity, body))}

        def deleting(identity: str) -> tuple[str, int]:
            getattr(networking, self.delete)(identity)
            return "", 204

        path, item = f"/v2.0/{self.name}", f"/v2.0/{self.name}/<identity>"
        api.add_url_rule(path, f"list_{self.plural}", listing)
        api.add_url_rule(item, f"show_{self.plural}", showing)
        api.add_url_rule(path, f"create_{self.plural}", creating, methods=["POST"])
        api.add_url_rule(item, f"delete_{self.plural}", deleting, methods=["DELETE"])
        if self.update:
            api.add_url_rule(item, f"update_{self.plural}", updating, methods=["PUT"])

    def _body(self) -> Json:
        body = request.get_json(silent=True)
        if not isinstance(body, dict) or not body:
            raise Refused(400, "Resource body required", "HTTPBadRequest")
        if not isinstance(body.get(self.singular), dict):
            raise Refused(400, f"Unable to find '{self.singular}' in request body", "HTTPBadRequest")
        return dict(body[self.singular])

    def _check(self, body: Json, allowed: list[str], words: str) -> None:
        for name in body:
            if name not in allowed and name in (*self.posts, *self.puts, *READ_ONLY):
                raise Refused(400, words.format(name), "HTTPBadRequest")
        strange = sorted(name for name in body if name not in allowed)
        if strange:
            words = f"Unrecognized attribute(s) '{', '.join(strange)}'"
            raise Refused(400, words, "HTTPBadRequest")

    def _links(self, rows: list[Json], shown: list[Json]) -> Json:
        """Where the pages beside this one are, if only a part was asked for."""
        limit = request.args.get("limit")
        if limit is None:
            return {}
        if not shown:
            return {f"{self.plural}_links": [{"rel": "previous", "href": _href(limit, "", page_reverse="True")}]}
        found = []
        if rows[-1]["id"] != shown[-1]["id"]:
            found.append({"rel": "next", "href": _href(limit, shown[-1]["id"])})
        found.append({"rel": "previous", "href": _href(limit, shown[0]["id"], page_reverse="True")})
        return {f"{self.plural}_links": found}


READ_ONLY = ("id", "status", "created_at", "updated_at", "revision_number", "router_id", "subnets")


def _href(limit: str, marker: str, **more: str) -> str:
    others = [(name, value) for name, value in request.args.items(multi=True) if name not in ("limit", "marker")]
    marked = [("marker", marker)] if marker else []
    return f"{request.base_url}?{urlencode([('limit', limit), *marked, *others, *more.items()])}"


def matching(rows: list[Json]) -> list[Json]:
    """The rows that the query asks for, those by what is inside of them as well."""
    for wanted in request.args.getlist("fixed_ips"):
        name, _, value = wanted.partition("=")
        rows = [row for row in rows if any(one.get(name) == value for one in row.get("fixed_ips", ()))]
    wanted_groups = set(request.args.getlist("security_groups"))
    if wanted_groups:
        rows = [row for row in rows if wanted_groups & set(row.get("security_groups", ()))]
    return filtered(rows, *NESTED)


def ordered(rows: list[Json]) -> list[Json]:
    keys = zip(request.args.getlist("sort_key"), request.args.getlist("sort_dir") or ["asc"] * 9, strict=False)
    for key, direction in reversed(list(keys)):
        rows = sorted(rows, key=lambda row: str(row.get(key) or ""), reverse=direction == "desc")
    return rows


def chosen(row: Json) -> Json:
    """Only the fields that the query names, if it does."""
    fields = request.args.getlist("fields")
    return {name: value for name, value in row.items() if name in fields} if fields else row
