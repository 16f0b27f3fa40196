"""What moves from one server to another, as a value; and what every module that moves something offers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from deploymachine.inventory import Server
    from deploymachine.report import Report
    from deploymachine.servertypes import Deployment

PATIENCE = 3600.0  # seconds that a copy may take until it has all that the old one has
DATABASE, CACHE, QUEUES, MEDIA = "database", "cache", "queues", "media"
GONE = "DELETED"  # a server's state where no cloud knows it any more
# The plain types whose work it is: (the server's name, one of these) says in `Deployment.behind` who does not lead.
TYPES = {DATABASE: ("dbserver",), CACHE: ("cachenode",), QUEUES: ("broker", "tasknode"), MEDIA: ("appnode",)}
# In this order they are switched: what is asked for by others first, so that nobody is told twice where it is.
KINDS = (QUEUES, CACHE, MEDIA, DATABASE)


@dataclass(frozen=True)
class Moving:
    """One kind of data on its way. part: one of KINDS. deployment: that in which old and new are both there, and the
    new one is `behind`, until it was switched: in nothing that this part is about it leads.

    patience: seconds that `prepare` may take before it gives up.
    """

    part: str
    old: Server
    new: Server
    deployment: Deployment
    report: Report
    patience: float = PATIENCE

    @property
    def handed(self) -> Deployment:
        """The deployment once this part was switched: the new one leads in it, and the old one is behind."""
        kinds = TYPES[self.part]
        kept = {(name, kind) for name, kind in self.deployment.behind if (name, kind) not in _each(self.new, kinds)}
        return replace(self.deployment, behind=frozenset(kept | _each(self.old, kinds)))

    @property
    def reverse(self) -> Moving:
        """The way back."""
        return replace(self, old=self.new, new=self.old)


def _each(server: Server, kinds: tuple[str, ...]) -> set[tuple[str, str]]:
    return {(server.name, kind) for kind in kinds}


@dataclass(frozen=True)
class Size:
    """How much there is to move. note: what it is, for a person: "412 MB in 3 databases"."""

    bytes: int
    note: str = ""


@dataclass(frozen=True)
class Switched:
    """How a switch went. pause: seconds for which visitors were held. proof: lines that show what was compared."""

    pause: float = 0.0
    proof: tuple[str, ...] = ()


class Part(Protocol):
    """A module of this package that moves one kind of data. Everything raises DeployMachineError."""

    def measure(self, moving: Moving) -> Size:
        """What would have to move. Changes nothing."""

    def prepare(self, moving: Moving) -> None:
        """Have the copy there, following what changes. Repeatable; visitors notice nothing. Raises also where the copy
        can't catch up within `moving.patience`."""

    def switch(self, moving: Moving) -> Switched:
        """Have the new one take over. Repeatable; where it fails, the old one works on as before, and it raises."""

    def back(self, moving: Moving) -> None:
        """Undo a switch: the old one takes over again with all that was written since."""

    def finish(self, moving: Moving) -> None:
        """Remove what the old server still keeps of it. Nothing is left to go back to then."""
