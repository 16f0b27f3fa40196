"""A server in, the same one rebuilt or resized out, while the others serve on in its place."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from deploymachine import servertypes
from deploymachine.cook import cook
from deploymachine.drain import Leaving, back_in, drain
from deploymachine.errors import DeployMachineError, ReleaseError
from deploymachine.handover import rest
from deploymachine.hostkeys import locked
from deploymachine.inventory import Server
from deploymachine.releases.crew import Crew

if TYPE_CHECKING:
    from collections.abc import Callable

    from deploymachine.cloud import Cloud
    from deploymachine.servertypes import Deployment

POLL = 0.5  # seconds


def rebuild(cloud: Cloud, leaving: Leaving, image: str | None, progress: Callable[[str, str], None]) -> list[str]:
    """Drain the one server of `leaving`, put its image on its disk anew. Returns notes. Raises what went wrong.

    It is bare then: to be provisioned and launched, and the balancers to be cooked, before visitors come to it again.
    """
    [server] = leaving.servers
    cloud.check_rebuild(server.name, image)  # a slip of the finger costs nobody a connection
    with locked(cloud.settings.state / "change.lock"):
        notes = [*drain(leaving), *rest(leaving)]
        try:
            cloud.rebuild(server.name, image, progress)
        except DeployMachineError:
            _serve_again_if_it_can(leaving, server)
            raise
        return notes


def resize(cloud: Cloud, leaving: Leaving, flavor: str, progress: Callable[[str, str], None]) -> list[str]:
    """Drain the one server of `leaving`, give it another flavor, have it serve, put it back in. Returns notes.

    What fails is put back as it was, the server among the balancers' as well. Raises what went wrong.
    """
    [server] = leaving.servers
    cloud.check_resize(server.name, flavor)  # a slip of the finger costs nobody a connection
    with locked(cloud.settings.state / "change.lock"):
        notes = drain(leaving)
        try:
            cloud.resize(server.name, flavor, progress)
        except DeployMachineError:
            _serve_again_if_it_can(leaving, server)
            raise
        cook([server], leaving.deployment, leaving.report)
        serve_again(leaving, server)
        return notes


def serve_again(leaving: Leaving, server: Server) -> None:
    """Wait until the sites on the server answer, then have the balancers send visitors to it."""
    if not leaving.endpoints:
        return
    _until_healthy(leaving, server)
    back_in([server], leaving.deployment, leaving.report)


def _serve_again_if_it_can(leaving: Leaving, server: Server) -> None:
    """After a failure, which is what has to be told: visitors come back where the sites still answer."""
    with suppress(DeployMachineError):
        serve_again(leaving, server)


def _until_healthy(leaving: Leaving, server: Server) -> None:
    """Wait until every site that is released there answers. Raises ReleaseError where one does not."""
    with Crew(leaving.deployment, leaving.report, [server]) as crew:
        for name, site in leaving.deployment.settings.SITES.items():
            job, deadline = crew.job(name), time.monotonic() + site.health_timeout
            while (state := job.ask(server, "state"))["current"] is not None and not state["healthy"]:
                if time.monotonic() > deadline:
                    raise ReleaseError(
                        f"{name} does not answer on {server.name}, so visitors are not sent there",
                        where=server.where,
                        why=f"for {site.health_timeout} s (health_timeout)",
                        hint=f"`fab server:{server.name} launch`, then `fab kokki:loadbalancer`",
                    )
                time.sleep(POLL)


def loses(server: Server, deployment: Deployment) -> str:
    """What a rebuild of the server destroys, for a person who is about to say yes."""
    parts = servertypes.parts(server.type)
    told = {
        "appnode": "what its sites wrote to its disk",
        "loadbalancer": "its logs",
        "cachenode": "what is cached",
    }
    lost = [*servertypes.keeps(server, deployment), *(told[part] for part in told if part in parts)]
    return f"everything on the disk of {server.name} is lost{': ' if lost else ''}{', '.join(lost)}"
