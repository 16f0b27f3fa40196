"""A site and an argv list in, run as the site itself runs on the selected servers that have it; what they said out.

That is: as the site's own user, in the project's directory of its live release, with its environment and virtualenv.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploymachine.contrib._servers import at_terminal, into_file, on_servers
from deploymachine.errors import UsageError
from deploymachine.inventory import Server
from deploymachine.site_names import chosen
from deploymachine.tasks import deployment, selected

if TYPE_CHECKING:
    from deploymachine.remote import Order
    from deploymachine.servertypes import Deployment

SITE = {"site": "a name of SITES in settings.py; where there is only one it may be left out"}


@dataclass(frozen=True)
class Place:
    """A site and the selected servers that do work of it; those that serve it come first."""

    site: str
    servers: tuple[Server, ...]
    here: Deployment

    def order(self, argv: Sequence[str], given: Iterable[bytes] = (), called: str = "") -> Order:
        """What has a server run `argv` as the site runs. called: what errors call it."""
        from deploymachine.remote import Order
        from deploymachine.servertypes import _site

        place = _site.place(self.site)
        return Order([f"{place['root']}/shared/run", *argv], place["user"], given, called or shlex.join(argv))

    @property
    def first(self) -> Server:
        """The one for what must not be done twice."""
        return self.servers[0]


def place(site: str = "") -> Place:
    """The site, which may be left out where there is only one, on the selected servers. Raises UsageError."""
    from deploymachine.leading import nodes

    here = deployment()
    name = chosen(site, here.settings.SITES)
    chosen_servers = selected(here.inventory)
    found = nodes(name, chosen_servers, here)
    if not found:
        able = ", ".join(server.name for server in nodes(name, here.inventory, here)) or "no server yet"
        raise UsageError(
            f"{name} is not on {', '.join(server.name for server in chosen_servers)}",
            why=f"it is on {able}",
            hint="begin with a type that runs sites, as in `fab appnode`",
        )
    return Place(name, tuple(found), here)


def run(
    argv: Sequence[str], site: str = "", *, once: bool = False, given: Iterable[bytes] = (), quiet: bool = False
) -> dict[str, str]:
    """Run `argv`, a list that no shell sees, on all these servers at once; server name -> what it wrote to stdout.

    once: only on the first of them. given: what it reads on its stdin. quiet: show nothing, also where it fails.
    Raises ConvergeError for each server where it failed, after all were tried.
    """
    there = place(site)
    servers = there.servers[:1] if once else there.servers
    return on_servers(servers, there.order(argv, given), there.here, quiet=quiet)


def run_into(argv: Sequence[str], path: Path, site: str = "") -> int:
    """Run `argv` on the first of these servers; what it writes to stdout becomes the file. Returns its size."""
    there = place(site)
    return into_file(there.first, there.order(argv), there.here, path)


def run_at_terminal(argv: Sequence[str], site: str = "") -> None:
    """Run `argv` on the first of these servers, with the user's terminal as its own."""
    there = place(site)
    at_terminal(there.first, there.order(argv), there.here)
