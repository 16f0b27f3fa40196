"""Keystone v3's application credentials: made, listed, shown and deleted; the secret is told once, kept as a digest."""

from __future__ import annotations

import hmac
import secrets
from typing import Any

from flask import Blueprint, request

from deploymachine.devcloud.api import Cloud, Json, body_of, filtered
from deploymachine.devcloud.state import PROJECT, USER, Credential, Refused, builtin_id, new_id

ROLES = ("reader", "member")


def register(api: Blueprint, cloud: Cloud, base: str) -> None:
    """base: the identity service's URL, ending in a slash."""
    path = f"/v3/users/{USER}/application_credentials"

    def find(identity: str) -> Credential:
        found = cloud.store.get(Credential, identity)
        if found is None:
            raise Refused(404, f"Could not find Application Credential: {identity}.")
        return found

    @api.post(path)
    def create_credential() -> tuple[Json, int]:
        body = body_of("application_credential")
        _refuse_restricted(cloud)
        credential, secret = _made(cloud, body)
        cloud.store.put(credential)
        return {"application_credential": {**show(credential, base), "secret": secret}}, 201

    @api.get(path)
    def list_credentials() -> Json:
        rows = [show(credential, base) for credential in cloud.store.all(Credential)]
        links = {"next": None, "self": request.url, "previous": None}
        return {"application_credentials": filtered(rows), "links": links}

    @api.get(f"{path}/<identity>")
    def show_credential(identity: str) -> Json:
        return {"application_credential": show(find(identity), base)}

    @api.delete(f"{path}/<identity>")
    def delete_credential(identity: str) -> tuple[str, int]:
        _refuse_restricted(cloud)
        cloud.store.drop(find(identity))
        return "", 204


def proved(cloud: Cloud, asked: Json) -> Credential | None:
    """The one that a login names, by id or by its and the user's name, if the secret is right."""
    for credential in cloud.store.all(Credential):
        named = asked.get("id") == credential.id or asked.get("name") == credential.name
        if named and hmac.compare_digest(credential.digest, digest(cloud, str(asked.get("secret", "")))):
            return credential
    return None


def digest(cloud: Cloud, secret: str) -> str:
    return hmac.new(cloud.layout.secret.encode(), secret.encode(), "sha256").hexdigest()


def show(credential: Credential, base: str) -> Json:
    roles: list[Any] = [{"id": builtin_id("role", name).replace("-", ""), "name": name} for name in ROLES]
    return {
        "id": credential.id,
        "name": credential.name,
        "description": credential.description,
        "project_id": PROJECT,
        "system": None,
        "expires_at": None,
        "unrestricted": credential.unrestricted,
        "roles": [{**role, "domain_id": None, "description": None, "options": {}} for role in roles],
        "links": {"self": f"{base}users/{USER}/application_credentials/{credential.id}"},
    }


def _made(cloud: Cloud, body: Json) -> tuple[Credential, str]:
    name = str(body.get("name") or "")
    if not name:
        raise Refused(400, "'name' is a required property")
    if any(other.name == name for other in cloud.store.all(Credential)):
        words = f"Conflict occurred attempting to store application_credential - Duplicate entry found with name {name}"
        raise Refused(409, f"{words}.")
    secret = str(body.get("secret") or secrets.token_urlsafe(64))
    identity, description = new_id().replace("-", ""), body.get("description")
    return Credential(identity, name, digest(cloud, secret), description, bool(body.get("unrestricted"))), secret


def _refuse_restricted(cloud: Cloud) -> None:
    """A stolen credential can't make others that outlive it."""
    used = cloud.credential(request.headers.get("X-Auth-Token"))
    if used is not None and not used.unrestricted:
        words = "Using method 'application_credential' is not allowed for managing additional application credentials."
        raise Refused(403, f"You are not authorized to perform the requested action: {words}.")
