"""The machine's own apt configuration goes in; where its Debian comes from, for any release, comes out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from deploymachine.devcloud.run import run
from deploymachine.errors import DevcloudError

TARGETS = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(RELEASE)|$(REPO_URI)", "Created-By: Packages"]
KEPT_OPTIONS = re.compile(r'^(Acquire::(?:https?::Proxy\S*|Check-Valid-Until|Check-Date)) "(.*)";$')


@dataclass(frozen=True)
class Mirror:
    """main, security: repository URIs. options: lines of apt.conf that reaching them needs."""

    main: str
    security: str | None
    options: tuple[str, ...] = ()

    def sources(self, suite: str) -> list[str]:
        """One-line entries for a release."""
        lines = [f"deb {self.main} {suite} main", f"deb {self.main} {suite}-updates main"]
        return [*lines, f"deb {self.security} {suite}-security main"] if self.security else lines


def mirror() -> Mirror:
    """Raises DevcloudError where this machine's apt knows no Debian (Ubuntu, or lists never fetched)."""
    options = kept_options(run(["apt-config", "dump"]).splitlines())
    named = os.environ.get("DEPLOYMACHINE_DEVCLOUD_MIRROR", "").split()
    if named:
        return Mirror(named[0], named[1] if len(named) > 1 else None, options)
    found = debian(run(TARGETS).splitlines())
    if found is None:
        raise DevcloudError(
            "no Debian mirror is known",
            why="none of this machine's apt sources says its Origin is Debian",
            hint="run `apt-get update`, or name one: DEPLOYMACHINE_DEVCLOUD_MIRROR='MAIN_URI [SECURITY_URI]'",
        )
    return Mirror(found.main, found.security, options)


def debian(targets: Iterable[str]) -> Mirror | None:
    """targets: lines "origin|release|uri" as apt knows them, whichever kind of file they were written in."""
    main = security = None
    for origin, release, uri in (line.split("|", 2) for line in targets if line.count("|") >= 2):
        if origin != "Debian":
            continue
        if release.endswith("-security"):
            security = security or uri
        elif not release.endswith("-backports"):
            main = main or uri
    return Mirror(main, security) if main else None


def kept_options(dump: Iterable[str]) -> tuple[str, ...]:
    """The proxy and clock settings of `apt-config dump`, which the image needs to reach the same mirrors."""
    matches = filter(None, (KEPT_OPTIONS.match(line) for line in dump))
    return tuple(f'{match[1]} "{match[2]}";' for match in matches if match[2])
