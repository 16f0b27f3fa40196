"""An exception of the OpenStack libraries in, a CloudError with the cloud's own words and what to do out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from deploymachine.errors import CloudError

HINTS_BY_STATUS = {
    401: "check user, password and project (or the application credential) in clouds.yaml or OS_*",
    403: "this user may not do that in this project: the cloud's administrator gives the role",
    404: "`openstack catalog list` shows the addresses this cloud answers at",
    413: "the cloud asks for fewer calls: wait a minute and run the same command again",
    429: "the cloud asks for fewer calls: wait a minute and run the same command again",
}
HINT_SERVER_TROUBLE = "the trouble is on the cloud's side: run the same command again later, nothing is done twice"
HINT_QUOTA = "`openstack quota show` says what the project may use: delete what is not needed, or ask for more"
HINT_NAME_TAKEN = (
    "this cloud allows a name only once, and another server has it: it is left alone, so name yours differently"
)
HINT_UNREACHABLE = "check auth_url, the network and any VPN; `curl -i AUTH_URL` should answer"
HINT_TLS = "name the cloud's certificate authority as `cacert: FILE` in clouds.yaml (or OS_CACERT)"
HINT_CONFIGURATION = "compare the cloud's entry with the clouds.yaml (or openrc) that your provider offers for download"
HINT_CATALOGUE = "check region_name and interface in clouds.yaml; `openstack catalog list` shows what the cloud offers"


@contextmanager
def explained(what: str, where: str | None = None) -> Iterator[None]:
    """Run the body; whatever the OpenStack libraries raise becomes a CloudError(what, where, the cloud's words)."""
    try:
        yield
    except Exception as error:
        if not _from_openstack(error):
            raise
        raise CloudError(what, where=where or address(error), why=words(error), hint=hint(error)) from None


def words(error: BaseException) -> str:
    """What the cloud itself said, without class names and addresses."""
    text = str(getattr(error, "details", None) or getattr(error, "message", None) or error)
    text = re.sub(r"\s*\(Request-ID: [^)]*\)", "", text)
    text = re.sub(r"^(\w+Exception: \d+: )?(Client|Server) Error for url: \S+?,? (?=\S)", "", text)
    status = status_of(error)
    first_lines = "\n".join(text.strip().splitlines()[:4]) or type(error).__name__
    return f"{first_lines} (HTTP {status})" if status and f"HTTP {status}" not in first_lines else first_lines


def hint(error: BaseException) -> str | None:
    """What the user can do about it."""
    status = status_of(error)
    name = type(error).__name__
    if "SSL" in name or "CERTIFICATE_VERIFY_FAILED" in str(error):
        return HINT_TLS
    if name in ("EndpointNotFound", "EmptyCatalog", "ServiceDisabledException", "ServiceDiscoveryException"):
        return HINT_CATALOGUE
    if name in ("MissingRequiredOptions", "NoMatchingPlugin", "ConfigException"):
        return HINT_CONFIGURATION
    if re.search(r"[Qq]uota exceeded|Maximum number of", words(error)):
        return HINT_QUOTA
    if status == 409 and re.search(r"[Ii]nstance .* already exists", words(error)):
        return HINT_NAME_TAKEN
    if status is not None:
        return HINT_SERVER_TROUBLE if status >= 500 else HINTS_BY_STATUS.get(status)
    return HINT_UNREACHABLE if "Connect" in name or "Discovery" in name else None


def address(error: BaseException) -> str | None:
    """The address the failed call went to."""
    url = getattr(error, "url", None)
    return str(url) if url else None


def status_of(error: BaseException) -> int | None:
    """The HTTP status of the refusal, None when there was no answer."""
    status = getattr(error, "status_code", None) or getattr(error, "http_status", None)
    return int(status) if isinstance(status, int) and status else None


def asked_to_wait(error: BaseException) -> float | None:
    """How many seconds the answer asks to wait (Retry-After), None where it does not, or asks for a date."""
    asked = getattr(getattr(error, "response", None), "headers", {}).get("Retry-After", "")
    return float(asked) if str(asked).isdigit() else None


def passing(error: BaseException) -> bool:
    """Whether the same call may well succeed a moment later."""
    status = status_of(error)
    return status is None or status in (413, 429) or status >= 500


def _from_openstack(error: Exception) -> bool:
    import keystoneauth1.exceptions
    import openstack.exceptions
    import requests

    return isinstance(
        error,
        (openstack.exceptions.SDKException, keystoneauth1.exceptions.ClientException, requests.RequestException),
    )
