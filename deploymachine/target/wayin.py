"""Changes of the way in that a run makes; they stay only if the control side proves at once that it still gets in.

The server keeps a snapshot and arms its guard before the first such change. Before the run goes on to anything else it
asks the control side to log in anew; what is not confirmed within seconds, or by somebody who is gone, is put back.
"""

from __future__ import annotations

import os
import select
import time
from typing import Any, Callable, Dict, Optional

import guard
from kokki.exceptions import Fail

SECONDS = 50  # until the guard's timer puts things back, whatever has become of this run
PATIENCE = 40.0  # seconds until this run does so itself
LOOK = 0.05
PATHS = ("/etc/ssh/", "/etc/sudoers", "/etc/nftables.conf", "/etc/pam.d/", "/etc/passwd", "/etc/shadow", "/etc/group")
KEYS = ("/.ssh", "/.ssh/authorized_keys")
SERVICES = {"ssh", "sshd", "nftables"}

Emit = Callable[[Dict[str, Any]], None]


class WayIn:
    """Watches a run's resources. answers: a descriptor with something to read, or its end, when nobody gets in."""

    def __init__(self, emit: Emit, answers: int) -> None:
        self.emit = emit
        self.answers = answers
        self.since: Optional[float] = None

    @property
    def changed(self) -> bool:
        """Is there a change that is not proven yet?"""
        return self.since is not None

    def concerns(self, resource: Any) -> bool:
        """Does the resource decide who may log in, or what they may do then?"""
        kind = type(resource).__name__
        if kind in ("User", "Group"):
            return not resource.system
        if kind == "Service":
            return str(resource.service_name).partition(".")[0] in SERVICES
        path = os.path.normpath(str(getattr(resource, "path", "")))
        return path.startswith(PATHS) or path.endswith(KEYS)

    def recover(self) -> None:
        """What an earlier run changed and did not live to prove goes back before this one begins."""
        if guard.pending():
            guard.rollback({})

    def begin(self) -> None:
        """Called before each change that concerns us: from the first one on the guard stands ready."""
        if not self.changed:
            guard.snapshot({})
            guard.arm({"seconds": SECONDS})
            self.since = time.monotonic()

    def settle(self) -> None:
        """Have the control side log in anew and confirm. Raises Fail, everything put back, where it does not."""
        if self.since is None:
            return
        until = self.since + PATIENCE
        self.emit({"event": "way-in-changed", "seconds": round(until - time.monotonic(), 1)})
        while guard.pending():
            if self._given_up() or time.monotonic() > until:
                self.undo()
                raise Fail("A change of the way in was put back: nobody proved that it still works")
        self.since = None
        self.emit({"event": "way-in-kept"})

    def undo(self) -> None:
        """Put back what is not proven, if anything is not."""
        if self.changed:
            self.since = None
            guard.rollback({})

    def _given_up(self) -> bool:
        """Look, for a moment, whether the control side says that it can't get in, or is gone."""
        return bool(select.select([self.answers], [], [], LOOK)[0])
