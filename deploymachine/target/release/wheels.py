"""A site in, the wheels that were built for it out: what one server has compiled, the others of the fleet need not.

uv keeps what it builds among its own things; a copy in .cache/wheels is found by the next build, here or elsewhere.
"""

from __future__ import annotations

import base64
import re
import shutil
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Dict, List

from release.values import Failure, Site

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\.whl")
# Of a package in the index, of one in another index, of a URL: uv's places for what it has built.
BUILT = ("sdists-v*/pypi/*/*/*/*.whl", "sdists-v*/index/*/*/*/*/*.whl", "sdists-v*/url/*/*/*.whl")
LARGEST = 64 << 20  # bytes; what is larger is built by everybody
MOST = 100  # are kept, the newest


def folder(site: Site) -> Path:
    return site.root / ".cache" / "wheels"


def names(site: Site) -> List[str]:
    """The wheels that builds here find."""
    return sorted(path.name for path in folder(site).glob("*.whl"))


def collect(site: Site) -> List[str]:
    """Keep what uv has built since; the names of what is new. That there is no room for it is nobody's trouble."""
    there, new = set(names(site)), []
    cache = site.root / ".cache" / "uv"
    with suppress(OSError):
        for path in sorted(path for pattern in BUILT for path in cache.glob(pattern)):
            if path.name not in there and NAME.fullmatch(path.name) and path.stat().st_size <= LARGEST:
                folder(site).mkdir(parents=True, exist_ok=True)
                _keep(site, path.name).write_bytes(path.read_bytes())
                new.append(path.name)
                there.add(path.name)
        _forget_old(site)
    return new


def read(site: Site, name: str) -> Dict[str, Any]:
    """One wheel, for others."""
    if name not in names(site):
        raise Failure(f"There is no wheel {name!r} on this server")
    return {"data": base64.b64encode((folder(site) / name).read_bytes()).decode()}


def add(site: Site, packed: BinaryIO) -> Dict[str, Any]:
    """Take in a tar of wheels that other servers have built."""
    folder(site).mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=packed, mode="r:") as tar:
        for member in tar:
            source = tar.extractfile(member) if member.isfile() and NAME.fullmatch(member.name) else None
            if source is None:
                raise Failure("What was sent are no wheels", why=f"{member.name!r} is among them")
            with _keep(site, member.name).open("wb") as file:
                shutil.copyfileobj(source, file)
    _forget_old(site)
    return {"wheels": names(site)}


def _keep(site: Site, name: str) -> Path:
    path = folder(site) / name
    path.unlink(missing_ok=True)
    return path


def _forget_old(site: Site) -> None:
    by_age = sorted(folder(site).glob("*.whl"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in by_age[MOST:]:
        path.unlink()
