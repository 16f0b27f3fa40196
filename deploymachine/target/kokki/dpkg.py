"""dpkg's own status file goes in; which packages are installed, at which version, comes out, without a process."""

from __future__ import annotations

import os
from typing import Dict, NamedTuple, Optional, Set, Tuple

from kokki.paths import system_path

STATUS = "/var/lib/dpkg/status"


class Installed(NamedTuple):
    """versions: package -> version of what is completely installed.  provided: names that those stand in for.

    broken: whether a package was left half-way.
    """

    versions: Dict[str, str]
    provided: Set[str]
    broken: bool
    configured: Set[str]  # removed packages whose configuration is still there


_read: Dict[str, Tuple[Tuple[int, int, int], Installed]] = {}


def installed() -> Installed:
    """The state as of now; the file is read again only when it has changed."""
    path = system_path(STATUS)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return Installed({}, set(), False, set())
    signature = (found.st_mtime_ns, found.st_size, found.st_ino)
    known = _read.get(path)
    if known is None or known[0] != signature:
        with open(path, encoding="utf-8", errors="replace") as stream:
            known = _read[path] = (signature, parse(stream.read()))
    return known[1]


def parse(text: str) -> Installed:
    state = Installed({}, set(), False, set())
    broken = False
    for paragraph in text.split("\n\n"):
        name, status = _field(paragraph, "Package"), _field(paragraph, "Status")
        if name is None or status is None:
            continue
        if status.endswith(" installed"):
            state.versions[name] = _field(paragraph, "Version") or ""
            _add_provided(state.provided, _field(paragraph, "Provides"))
        elif status.endswith(" config-files"):
            state.configured.add(name)
        elif not status.endswith(" not-installed"):
            broken = True
    return Installed(state.versions, state.provided, broken, state.configured)


def _field(paragraph: str, name: str) -> Optional[str]:
    """The one-line field of a paragraph."""
    key = f"{name}: "
    start = 0 if paragraph.startswith(key) else paragraph.find(f"\n{key}") + 1
    if start == 0 and not paragraph.startswith(key):
        return None
    end = paragraph.find("\n", start)
    return paragraph[start + len(key) : end if end != -1 else None]


def _add_provided(provided: Set[str], field: Optional[str]) -> None:
    if field is not None:
        provided.update(item.split()[0] for item in field.split(", ") if item)
