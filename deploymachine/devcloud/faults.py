"""A devcloud goes in; trouble ordered there, to test against, comes out. `python -m deploymachine.devcloud.faults`.

faults order '{"kind": "refuse", "path": "/compute/*", "status": 429, "retry_after": 1}'
faults list
faults clear
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from typing import Any

from deploymachine.devcloud import layout
from deploymachine.devcloud.api import sign
from deploymachine.devcloud.layout import Layout
from deploymachine.errors import DeployMachineError, DevcloudError


class Faults:
    """What is ordered in one devcloud, by whoever can read its state. Raises DevcloudError."""

    def __init__(self, place: Layout) -> None:
        self.place = place

    def order(self, kind: str, **facts: Any) -> str:
        """The order's id. kind, facts: as trouble.Order has them."""
        answer = self._ask("POST", "", {"kind": kind, **facts})
        return str(answer["fault"]["id"])

    def all(self) -> list[dict[str, Any]]:
        return list(self._ask("GET")["faults"])

    def clear(self, identity: str | None = None) -> None:
        """Take back one, or all."""
        self._ask("DELETE", f"/{identity}" if identity else "")

    def _ask(self, method: str, rest: str = "", body: object = None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - our own URL
            f"{self.place.url}/devcloud/faults{rest}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "X-Auth-Token": sign(self.place, {})},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
                return dict(json.loads(answer.read() or b"{}"))
        except urllib.error.HTTPError as error:
            with error:
                why = json.loads(error.read() or b"{}").get("error", {}).get("message", str(error))
            raise DevcloudError("devcloud does not take this order", why=why) from error
        except OSError as error:
            hint = "`fab devcloud_up` starts it"
            raise DevcloudError("devcloud does not answer", where=self.place.url, why=str(error), hint=hint) from error


def here() -> Faults:
    """Of the devcloud that this machine's environment names."""
    place = layout.load(layout.state_directory())
    if place is None:
        raise DevcloudError(f"devcloud is down ({layout.state_directory()})", hint="`fab devcloud_up` starts it")
    return Faults(place)


def main(words: list[str]) -> int:
    try:
        if words[:1] == ["order"] and len(words) == 2:
            wish = json.loads(words[1])
            print(here().order(**wish))
        elif words == ["list"]:
            print(json.dumps(here().all(), indent=1))
        elif words[:1] == ["clear"] and len(words) <= 2:
            here().clear(*words[1:])
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except (DeployMachineError, json.JSONDecodeError, TypeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
