"""A site in, whether it answers 200 at its own address out."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - sockets import it when first used, and the site's user may not read our Python
import http.client
import re
import time
from dataclasses import dataclass
from typing import Callable, Optional

from release.values import Site, bind_address

EXCERPT = 300
ASKED_BY = "deploymachine"  # the user agent
PAUSE = 0.1  # seconds between two questions


@dataclass(frozen=True)
class Answer:
    """What the site said. status: 0 where nobody answered. why: one line for a human."""

    status: int
    why: str

    @property
    def healthy(self) -> bool:
        return self.status == 200


def ask(site: Site, timeout: float = 5) -> Answer:
    """Ask once, as the loadbalancer would: with the site's host name, as if the request had come over HTTPS."""
    host, port = bind_address(site.bind)
    headers = {"Host": site.host, "X-Forwarded-Proto": "https", "User-Agent": ASKED_BY, "Connection": "close"}
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", site.health_path, headers=headers)
        response = connection.getresponse()
        return Answer(response.status, _told(site, response))
    except (OSError, http.client.HTTPException) as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Answer(0, f"http://{site.bind}{site.health_path} does not answer: {said}")
    finally:
        connection.close()


def wait(site: Site, timeout: float, dead: Callable[[], Optional[str]]) -> Answer:
    """Ask until the answer is 200, the time (seconds) is up, or `dead` says why there is nobody left to wait for."""
    deadline = time.monotonic() + timeout
    while True:
        answer = ask(site, max(1.0, min(5.0, deadline - time.monotonic())))
        if answer.healthy:
            return answer
        reason = dead()
        if reason is not None:
            return Answer(0, reason)
        if time.monotonic() >= deadline:
            return Answer(answer.status, f"{answer.why}, {timeout:g} s long")
        time.sleep(PAUSE)


def _told(site: Site, response: http.client.HTTPResponse) -> str:
    body = response.read(20_000).decode("utf-8", "replace")
    text = " ".join(re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", body, flags=re.DOTALL | re.IGNORECASE).split())
    target = response.getheader("Location")
    said = f"to {target}" if target else text[:EXCERPT]
    return f"GET {site.health_path} for {site.host} answers {response.status} {response.reason}: {said}".rstrip(": ")
