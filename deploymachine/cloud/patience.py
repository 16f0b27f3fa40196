"""A logged in session in, one that waits through the cloud's bad moments out, for as long as the cloud asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openstack.connection import Connection

TRIES = 4
FIRST_PAUSE = 0.5  # seconds, doubled for each further try
LONGEST_PAUSE = 30  # seconds, whatever Retry-After asks for
CONNECTIONS = 32  # more than are ever in use at once
NOT_DONE = frozenset({413, 429})  # "too many requests": nothing was done, whatever was asked
BAD_MOMENT = frozenset({500, 502, 503, 504})
HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
ONCE_IS_ENOUGH = frozenset({*HARMLESS, "PUT", "DELETE"})  # doing it twice ends the same


def make_patient(connection: Connection) -> None:
    """Have every further call tried again where that is safe: TRIES times, each as late as Retry-After says.

    A call that changes something and may have been done (a POST that was answered 503, or not at all) is not repeated
    here: who made it looks first whether it was.
    """
    _let_all_log_in_again(connection)
    mount = connection.session.session.mount
    for scheme in ("http://", "https://"):
        mount(scheme, _adapter(ONCE_IS_ENOUGH))
    for tokens in _where_tokens_come_from(connection):
        mount(tokens, _adapter(ONCE_IS_ENOUGH | {"POST"}))  # a further login does no harm


def _where_tokens_come_from(connection: Connection) -> list[str]:
    """The longest of a session's mounted addresses that fits is the one that is used."""
    auth: Any = connection.session.auth
    place = str(getattr(auth, "auth_url", None) or "").rstrip("/")
    return [f"{place}{rest}" for rest in ("/auth/tokens", "/v3/auth/tokens")] if place else []


def _let_all_log_in_again(connection: Connection) -> None:
    """When a token expires under several calls at once, the session asks again only for the first that is refused: for
    the others there is no token left to give up. Each may try once with whatever token there is then."""
    session: Any = connection.session
    give_up = session.invalidate

    def invalidate(auth: Any = None) -> bool:
        give_up(auth)
        return True

    session.invalidate = invalidate


def _adapter(repeatable: frozenset[str]) -> Any:
    """repeatable: methods that end the same when done twice; of these, POST is as harmless as reading."""
    from keystoneauth1.session import TCPKeepAliveAdapter
    from urllib3.util.retry import Retry

    harmless = HARMLESS | (repeatable - ONCE_IS_ENOUGH)

    class Patience(Retry):
        """urllib3's, which knows Retry-After; what may be repeated depends on the method and on the answer."""

        def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
            if status_code in NOT_DONE:
                return True
            if status_code == 503 and has_retry_after:
                return method.upper() in repeatable
            return status_code in BAD_MOMENT and method.upper() in harmless

        def get_retry_after(self, response: Any) -> float | None:
            asked = super().get_retry_after(response)
            return None if asked is None else min(asked, LONGEST_PAUSE)

    patience = Patience(
        total=TRIES,
        backoff_factor=FIRST_PAUSE,
        allowed_methods=repeatable,
        raise_on_status=False,  # the last answer is told in the cloud's own words
        raise_on_redirect=False,
        redirect=0,
    )
    return TCPKeepAliveAdapter(max_retries=patience, pool_maxsize=CONNECTIONS)
