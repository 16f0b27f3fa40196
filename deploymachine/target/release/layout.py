"""A site's directory in, what lies there out: whole releases, the live one, the ones that were live before, the log.

releases/NAME/REVISION     the commit; written last, so a release without it is half made
releases/NAME/.release     JSON of the release
current                    link to the live release
history                    names of live releases, oldest first; the last but one is where a rollback goes
.switching                 there while `current` and the running program may disagree
deploys.log                one JSON object a line
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, List, Mapping, Optional

from release.values import Failure, Release, Site

REVISION = "REVISION"
RELEASE = ".release"
COMPLETE = ".complete"  # written last into a virtualenv


def whole(site: Site) -> List[Release]:
    """The finished releases, oldest first."""
    if not site.releases.is_dir():
        return []
    found = (read(site, path.name) for path in sorted(site.releases.iterdir()))
    return [release for release in found if release is not None]


def unfinished(site: Site) -> List[Path]:
    """What a killed run left behind."""
    if not site.releases.is_dir():
        return []
    return [path for path in sorted(site.releases.iterdir()) if not (path / REVISION).is_file()]


def read(site: Site, name: str) -> Optional[Release]:
    """The finished release of that name, or None."""
    path = site.release(name)
    try:
        sha = (path / REVISION).read_text(encoding="utf-8").strip()
        known = json.loads((path / RELEASE).read_text(encoding="utf-8"))
        return Release.read({**known, "name": name, "sha": sha})
    except (OSError, ValueError, Failure):
        return None


def ready(site: Site, name: str) -> Release:
    """The release of that name, which can be switched to. Raises Failure."""
    release = read(site, name)
    if release is None:
        names = ", ".join(there.name for there in whole(site)) or "none"
        raise Failure(f"There is no release {name!r} of {site.name} on this server", why=f"there are: {names}")
    if not has_venv(site, release):
        raise Failure(f"The virtualenv of release {name} is gone", hint="deploy its commit again")
    return release


def has_venv(site: Site, release: Release) -> bool:
    """Whether the release's virtualenv stands, built to its end."""
    return bool(release.venv) and (site.venvs / release.venv / COMPLETE).is_file()


def finish(site: Site, release: Release) -> None:
    """Declare a release whole: everything it needs is there."""
    path = site.release(release.name)
    write(path / RELEASE, json.dumps(asdict(release), sort_keys=True) + "\n")
    write(path / REVISION, release.sha + "\n")


def remove(path: Path) -> None:
    """Remove a release; killed half-way it counts as unfinished, never as whole."""
    (path / REVISION).unlink(missing_ok=True)
    shutil.rmtree(path)


def live(site: Site) -> Optional[str]:
    """The name of the release `current` leads to."""
    try:
        return site.current.readlink().name
    except FileNotFoundError:
        return None


def point(site: Site, name: Optional[str]) -> None:
    """Make `current` lead to that release, in one instant; None: to none."""
    if name is None:
        site.current.unlink(missing_ok=True)
        return
    link(site.current, os.path.relpath(site.release(name), site.root))


def link(path: Path, to: str) -> None:
    """Make or replace a link, in one instant."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(to)
    new.replace(path)


def write(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def history(site: Site) -> List[str]:
    """Names of the releases that were live, oldest first, as far as they still lie there."""
    try:
        names = (site.root / "history").read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return []
    there = {release.name for release in whole(site)}
    return [name for name in names if name in there]


def went_live(site: Site, name: str, *, back: bool) -> None:
    """Remember the release that now serves; going back forgets what came after it."""
    names = history(site)
    if back and name in names:
        names = names[: len(names) - names[::-1].index(name)]
    elif names[-1:] != [name]:
        names.append(name)
    write(site.root / "history", "".join(f"{name}\n" for name in names[-50:]))


def predecessor(site: Site) -> Optional[str]:
    """The release that a rollback goes to: the last live one that is not live now."""
    now = live(site)
    return next((name for name in reversed(history(site)) if name != now), None)


def settled(site: Site) -> bool:
    """Whether the last switch came to its end, so that the program runs what `current` leads to."""
    return not (site.root / ".switching").exists()


def unsettle(site: Site, name: str) -> None:
    write(site.root / ".switching", name + "\n")


def settle(site: Site) -> None:
    (site.root / ".switching").unlink(missing_ok=True)


def log(site: Site, entry: Mapping[str, Any]) -> None:
    """Append one line to deploys.log."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = json.dumps({"time": stamp, "site": site.name, **entry}, ensure_ascii=False)
    with (site.root / "deploys.log").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
