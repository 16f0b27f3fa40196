"""A URL and its checksum go in, verified bytes come out; what does not verify is never kept nor given away."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from typing import Optional

from kokki.exceptions import Fail
from kokki.paths import private_directory, state_path, write_atomically

TIMEOUT = 60


def fetch(url: str, *, cache: bool = True, md5sum: Optional[str] = None, sha256: Optional[str] = None) -> bytes:
    """The URL's content, out of the cache if it is there and still right. Raises Fail when it does not verify."""
    kept = os.path.join(state_path("downloads"), hashlib.sha256(url.encode()).hexdigest())
    if cache and os.path.exists(kept):
        with open(kept, "rb") as stream:
            data = stream.read()
        if not _difference(data, md5sum, sha256):
            return data
    data = _download(url)
    difference = _difference(data, md5sum, sha256)
    if difference:
        raise Fail(f"{url} is not what it should be: {difference}")
    if cache:
        private_directory(os.path.dirname(kept))
        write_atomically(kept, data)
    return data


def _download(url: str) -> bytes:
    if not url.startswith(("https://", "http://", "file://")):
        raise Fail(f"{url!r} can't be downloaded: neither http nor https")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:  # noqa: S310 - schemes are checked above
            data: bytes = answer.read()
    except (urllib.error.URLError, OSError) as error:
        raise Fail(f"{url} can't be downloaded: {getattr(error, 'reason', error)}") from None
    return data


def _difference(data: bytes, md5sum: Optional[str], sha256: Optional[str]) -> str:
    for name, wanted in (("sha256", sha256), ("md5", md5sum)):
        found = hashlib.new(name, data, usedforsecurity=False).hexdigest() if wanted else None
        if wanted and found != wanted.lower():
            return f"its {name} is {found}, not {wanted}"
    return ""
