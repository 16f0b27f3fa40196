"""The machine you type on: Python and its libraries, fab_local.py, keys, the files that nobody else may read."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from deploymachine import adminkeys
from deploymachine.check.lines import Line, fail, failed, ok, warn
from deploymachine.errors import SettingsError
from deploymachine.settings import Settings
from deploymachine.settings_file import execute

PYTHON = (3, 10)
LIBRARIES = ("fabric", "invoke", "paramiko", "openstacksdk")
LOCAL = "fab_local.py"
REQUIRED = re.compile(r"([A-Za-z0-9_.-]+)\s*(.*)")
BOUND = re.compile(r"(>=|<)\s*([0-9.]+)")


def versions() -> Iterator[Line]:
    """Python and what fab is made of, against what deploymachine asks for."""
    found = ".".join(str(part) for part in sys.version_info[:3])
    wanted = ".".join(str(part) for part in PYTHON)
    if sys.version_info < PYTHON:
        yield fail("python", f"{found}: {wanted} is the least", "make the virtualenv with a newer Python")
    else:
        yield ok("python", found)
    asked = _asked()
    for name in LIBRARIES:
        yield _library(name, asked.get(name, ""))


def _library(name: str, wanted: str) -> Line:
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return fail(name, "is not installed", f"`pip install '{name}{wanted}'`")
    if not _fits(found, wanted):
        return fail(name, f"{found}: {wanted} is asked for", f"`pip install '{name}{wanted}'`")
    return ok(name, found)


def _asked() -> dict[str, str]:
    """Library -> ">=3.2,<4", as deploymachine's own package says."""
    try:
        told = metadata.requires("deploymachine") or []
    except metadata.PackageNotFoundError:  # run from a checkout
        return {}
    pairs = (REQUIRED.match(one.partition(";")[0].strip()) for one in told if "extra" not in one)
    return {pair[1].lower(): pair[2] for pair in pairs if pair}


def _fits(found: str, wanted: str) -> bool:
    has = _numbers(found)
    bounds = [(sign, _numbers(bound)) for sign, bound in BOUND.findall(wanted)]
    return all(has >= bound if sign == ">=" else has < bound for sign, bound in bounds)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def own_tasks(directory: Path) -> Iterator[Line]:
    """fab_local.py, where there is one."""
    path = directory / LOCAL
    if not path.is_file():
        return
    try:
        execute(path)
    except SettingsError as error:
        yield failed(LOCAL, error)
    else:
        yield ok(LOCAL, "can be imported")


def keys(settings: Settings) -> Iterator[Line]:
    """The administrators' public keys, and whether one of them is yours."""
    from deploymachine.errors import LoginError
    from deploymachine.ssh import held_keys

    lines = adminkeys.read(settings)
    yield ok("admin keys", f"{len(lines)} may log in")
    try:
        held = held_keys(settings)
    except LoginError as error:
        yield failed("your key", error)
    else:
        yield ok("your key", f"{held[0].get_name()} {held[0].fingerprint}")


def private_files(settings: Settings) -> Iterator[Line]:
    """What is kept between two runs: readable by its owner alone, and not on its way into a repository."""
    from deploymachine import secrets as module

    yield from _identity(settings)
    secrets = module.of(settings).file.where()
    if not secrets.exists():
        yield ok("secrets", "none made yet")
        return
    if secrets.stat().st_mode & 0o077:
        yield fail("secrets", f"others may read {secrets}", f"`chmod 600 {secrets}`")
    else:
        yield ok("secrets", f"{secrets}: back it up, without it the servers' passwords are lost")
    if _would_be_committed(secrets):
        yield warn("secrets", "git does not ignore them", "put `.deploymachine/` into .gitignore")


def _identity(settings: Settings) -> Iterator[Line]:
    """The file that decrypts the secrets, where they are encrypted."""
    from deploymachine import age

    seal = age.seal(settings)
    path = Path(seal.identity) if seal is not None and seal.identity is not None else None
    if path is not None and path.is_file() and path.stat().st_mode & 0o077:
        yield fail("secrets", f"others may read {path}, which decrypts them", f"`chmod 600 {path}`")


def _would_be_committed(path: Path) -> bool:
    import subprocess

    try:
        command = ["git", "-C", str(path.parent.parent), "check-ignore", "--quiet", str(path)]
        done = subprocess.run(command, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 1  # 128: no repository


def under_way(settings: Settings) -> Iterator[Line]:
    """A split, a merge or a move that has not come to its end; nothing where there is none. Raises UsageError."""
    from deploymachine.split import journal, run

    if (there := journal.read(settings)) is not None:
        what, why, what_next = run.under_way(there)
        yield warn("split", f"{what}, {why}", what_next)
