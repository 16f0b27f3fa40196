"""A file about to be replaced goes in; a dated copy that only root can read is kept, a bounded number per path."""

from __future__ import annotations

import os
from typing import List

from kokki.paths import private_directory, write_atomically


def keep(path: str, directory: str, prefix: str, number: int) -> str:
    """Copy path to directory/PATH/PREFIX (modes 0700 and 0600) and give the copy's path back."""
    folder = private_directory(os.path.join(directory, path.lstrip("/")))
    copy = os.path.join(folder, prefix)
    with open(path, "rb") as stream:
        write_atomically(copy, stream.read())
    for old in _oldest(folder, number):
        os.unlink(old)
    return copy


def _oldest(folder: str, number: int) -> List[str]:
    with os.scandir(folder) as found:
        copies = sorted((entry.name for entry in found if entry.is_file()), reverse=True)
    return [os.path.join(folder, name) for name in copies[number:]]
