"""target/, Jinja2 and the team's cookbooks in, one tar named by its hash out: all that runs on a server."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

TARGET = Path(__file__).parent / "target"
PURE_PYTHON = ("jinja2", "markupsafe")
LEFT_OUT = {"__pycache__", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
LEFT_OUT_SUFFIXES = {".so", ".pyc", ".pyi", ".c"}
_packing = threading.Lock()  # all servers ask at the same moment: the first one's thread packs, the others wait for it


@dataclass(frozen=True)
class Bundle:
    """A gzipped tar, packed when it is first wanted, and the hash of its contents, its name on a server."""

    hash: str
    files: tuple[tuple[str, Path], ...] = field(repr=False)

    @property
    def data(self) -> bytes:
        """The tar itself."""
        with _packing:
            return _tar(self.files)


def bundle(cookbook_paths: tuple[Path, ...]) -> Bundle:
    """Everything a server needs to run the engine; the same contents always make the same hash."""
    with _packing:
        return _bundle(cookbook_paths)


@cache
def _bundle(cookbook_paths: tuple[Path, ...]) -> Bundle:
    files = tuple(sorted(_contents(cookbook_paths)))
    digest = hashlib.sha256()
    for name, path in files:
        digest.update(f"{name}\0{path.stat().st_mode & 0o111}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return Bundle(digest.hexdigest()[:32], files)


def _contents(cookbook_paths: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    yield from _tree(TARGET, "")
    for package in PURE_PYTHON:
        spec = find_spec(package)
        assert spec is not None  # noqa: S101 (both are requirements of this package)
        assert spec.origin is not None  # noqa: S101
        yield from _tree(Path(spec.origin).parent, f"{package}/")
    for number, path in enumerate(cookbook_paths):
        yield from _tree(path, f"user_cookbooks/{number}/")


def _tree(root: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        for path in (Path(folder, name) for name in names if name not in LEFT_OUT):
            if path.is_file() and path.suffix not in LEFT_OUT_SUFFIXES:
                yield prefix + path.relative_to(root).as_posix(), path


@cache
def _tar(files: tuple[tuple[str, Path], ...]) -> bytes:
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=6) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name, path in files:
            member = tarfile.TarInfo(name)
            content = path.read_bytes()
            member.size = len(content)
            member.mode = 0o755 if path.stat().st_mode & 0o111 else 0o644
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
