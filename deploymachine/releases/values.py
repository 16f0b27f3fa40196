"""What a release is made of: its name and commit, how a run goes about it, what came of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deploymachine.source import Source

Request = dict[str, Any]
State = Mapping[str, Any]
# Settings that another build would come out of.
BUILT_BY = ("directory", "requirements", "extras", "build_commands", "wsgi", "settings_module")
BATCH: tuple[int | str, ...] = (1, "25%", "100%")


@dataclass(frozen=True)
class Release:
    """One release, the same on all servers. time: UTC, ISO 8601."""

    name: str
    sha: str
    ref: str
    time: str
    fingerprint: str


# (before_deploy or after_deploy, site, release, names of servers): raises where it fails.
Hook = Callable[[str, str, Release, tuple[str, ...]], None]
# (site, release, names of servers, what failed or "", seconds)
Ended = Callable[[str, str, tuple[str, ...], str, float], None]


def nothing(*_: object) -> None:
    """No hook."""


@dataclass(frozen=True)
class Options:
    """How a run goes about it. batches: how many servers are switched at once, few before many.

    go_on: a server that can't be reached any more is left out, rather than all brought back.
    wait: seconds for another's lock to be let go of. message: why, for the audit log. hook: called with "before_deploy"
    and "after_deploy". ended: hears of each site. migrate_timeout: seconds; None: as the servers have it.
    """

    batches: tuple[int | str, ...] = BATCH
    wait: float = 0.0
    go_on: bool = False
    message: str = ""
    hook: Hook = nothing
    ended: Ended = nothing
    migrate_timeout: float | None = None


@dataclass(frozen=True)
class Released:
    """What came of it. changed: False where every server served that commit already. note: a word for the user."""

    site: str
    release: str
    changed: bool
    migrations: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    note: str = ""


def live(state: State) -> str:
    """The name of the release that is live there; "" where none is."""
    return str((state.get("current") or {}).get("name", ""))


def serves(state: State, release: str) -> bool:
    """Whether that release is live there, and works, and no run was cut off on the way to it."""
    return live(state) == release and bool(state.get("healthy")) and bool(state.get("settled", True))


def fingerprint(site: Mapping[str, Any]) -> str:
    """Of the settings that decide how a commit is built: another one needs another build of the same commit."""
    text = json.dumps([site.get(key) for key in BUILT_BY])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def named(source: Source, mark: str, states: Iterable[State], now: datetime) -> Release:
    """A name for the commit: the one it has on some server already, the live one first, else a new one."""
    found: list[tuple[bool, str]] = []
    for state in states:
        same = [r for r in state.get("releases", ()) if r["sha"] == source.sha and r["fingerprint"] == mark]
        found += [(release["name"] == live(state), release["name"]) for release in same]
    name = max(found)[1] if found else f"{now:%Y%m%dT%H%M%SZ}-{source.sha[:8]}"
    return Release(name, source.sha, source.ref, f"{now:%Y-%m-%dT%H:%M:%SZ}", mark)
