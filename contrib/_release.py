"""A site and one thing to be done with its live release in; what each of the selected servers answered out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deploymachine.contrib._site import Place, place


def asked(action: str, site: str, **more: Any) -> tuple[Place, list[tuple[str, dict[str, Any]]]]:
    """The place, and (server's name, its answer). Raises for each server that can't, after all were asked."""
    from deploymachine.releases.looking import answers, raised

    there = place(site)
    found = answers([there.site], there.servers, there.here, action, **more)
    raised(found)
    return there, [(answer.server.name, dict(answer.told)) for answer in found]


def show(server: str, lines: Iterable[str]) -> None:
    """Lines with the server in front, without what could play tricks on a terminal."""
    from deploymachine.logs import CONTROLS

    for line in lines:
        print(f"{server}: {line.translate(CONTROLS)}", flush=True)
