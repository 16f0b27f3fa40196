"""Names of packages go in; one dnf transaction that asks nothing installs them: the redhat family's apt."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import Dict, List, Optional, Sequence, Tuple

from kokki import process
from kokki.dpkg import Installed
from kokki.exceptions import Fail
from kokki.paths import system_path

DATABASES = ("/usr/lib/sysimage/rpm", "/var/lib/rpm")
EVERY = "%{NAME}\\t%{VERSION}-%{RELEASE}\\n"
NEWEST = "%{name}\\t%{version}-%{release}\\n"
ENVIRONMENT = {"LC_ALL": "C.UTF-8"}

_known: Dict[str, Tuple[float, Installed]] = {}


def installed() -> Installed:
    """What rpm has installed: asked by one process, and again only when its database has changed."""
    changed = _changed()
    key = system_path("")
    if key not in _known or _known[key][0] != changed:
        rows = process.check(["rpm", "-qa", "--queryformat", EVERY], "rpm can't tell what is installed").output
        _known[key] = (changed, Installed(_pairs(rows), set(), False, set()))
    return _known[key][1]


def install(words: Sequence[str], *, recommends: bool, upgrade: bool = False) -> None:
    """Install (or upgrade) `name` or `name-version` words in one transaction; dnf waits for its lock by itself."""
    options = [f"--setopt=install_weak_deps={recommends}"]
    _get(["upgrade" if upgrade else "install", *options, *words], f"dnf could not install {', '.join(words)}")


def remove(name: str, *, purge: bool) -> None:  # noqa: ARG001 - rpm keeps changed configuration either way
    _get(["remove", "--setopt=clean_requirements_on_remove=False", name], f"dnf could not remove {name}")


def candidates(names: Sequence[str]) -> Dict[str, str]:
    """name -> the newest version in the repositories, for the names they know; one process for all."""
    if not names:
        return {}
    command = ["dnf", "-q", "repoquery", "--latest-limit=1", "--queryformat", NEWEST, *names]
    return _pairs(process.check(command, "dnf can't read its repositories", environment=ENVIRONMENT).output)


def freshen(max_age: float) -> None:
    """dnf itself refreshes what is older than its metadata_expire."""


def missing(names: Sequence[str], max_age: float) -> List[str]:  # noqa: ARG001 - see freshen
    """The names that no repository knows. Raises Fail when they can't be read."""
    plain = [name for name in names if not name.startswith(("@", "/")) and "://" not in name]
    known = candidates(plain)
    return [name for name in plain if name not in known]


def word(name: str, version: str) -> str:
    return f"{name}-{version}"


def fits(now: str, wanted: str) -> bool:
    """Whether version-release `now` is what is wanted: both, the version alone, or a pattern."""
    return fnmatchcase(now, wanted) or fnmatchcase(now, f"{wanted}-*")


def _get(arguments: List[str], what: str) -> None:
    completed = process.run(["dnf", "-y", "-q", *arguments], environment=ENVIRONMENT)
    _known.clear()
    if completed.code != 0:
        raise process.failed(completed, what)


def _pairs(text: str) -> Dict[str, str]:
    rows = (line.split("\t") for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2}


def _changed() -> float:
    """When rpm's database was last written to."""
    folder: Optional[str] = next(filter(os.path.isdir, map(system_path, DATABASES)), None)
    if folder is None:
        raise Fail("This server has no rpm database", hint="is it one of the redhat family?")
    with os.scandir(folder) as found:
        return max((entry.stat().st_mtime for entry in found), default=0.0)
