"""A directory of ours in, the files in it that nobody wants any more out."""

import fnmatch
import os


def strangers(directory, pattern, wanted):
    """Paths in `directory` that match `pattern` and whose names are not among `wanted`; [] where it does not exist."""
    names = os.listdir(directory) if os.path.isdir(directory) else []
    return [os.path.join(directory, name) for name in sorted(fnmatch.filter(names, pattern)) if name not in wanted]


def as_new_as(path, directory):
    """Whether a file was written after the last change of the directory or of anything in it."""
    sources = [directory, *(entry.path for entry in os.scandir(directory))]
    return os.path.exists(path) and os.path.getmtime(path) >= max(map(os.path.getmtime, sources))
