"""settings.py, or settings_NAME.py of an environment, as a file: where it is, and the names it makes when it is run."""

from __future__ import annotations

import os
import re
import runpy
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploymachine.errors import SettingsError

FILENAME = "settings.py"
VARIABLE = "DEPLOYMACHINE_SETTINGS"
OF_AN_ENVIRONMENT = re.compile(r"settings_([a-z][a-z0-9_-]*)\.py")
# What makes a file one of an environment, and not something that others import.
DEPLOYMENT = re.compile(r"""^DEPLOYMENT\s*=\s*(?:["']([^"'\n]*)["'])?""", re.MULTILINE)
_chosen: str | None = None


def state_directory(directory: Path, environment: str | None = None) -> Path:
    """Where a deployment keeps what it knows between two runs: known_hosts, secrets, certificates, history."""
    return directory / ".deploymachine" / (environment or "")


def state_here(directory: Path) -> Path:
    """That directory of the deployment that commands typed in `directory` are about."""
    path = settings_path(directory)
    return state_directory(path.parent, environment_of(path))


def settings_path(directory: Path) -> Path:
    """Where the settings are: of the environment that was chosen, of DEPLOYMACHINE_SETTINGS, else settings.py."""
    return directory / (_chosen or os.environ.get(VARIABLE, FILENAME))


def choose(environment: str | None) -> None:
    """Have every later call mean the deployment of settings_NAME.py; None: the usual one. Raises SettingsError."""
    global _chosen
    _chosen = None if environment is None else f"settings_{environment}.py"
    said = os.environ.get(VARIABLE)
    if _chosen is not None and said is not None and Path(said).name != _chosen:
        raise SettingsError(f"{VARIABLE} says {said}, and the command line {environment}", hint="say one of the two")


def environments(directory: Path) -> list[str]:
    """The names of the settings_NAME.py there that describe a deployment."""
    return [name for path in _settings_files(directory) if (name := environment_of(path)) is not None]


def environment_of(path: Path) -> str | None:
    """NAME where the file is a settings_NAME.py."""
    found = OF_AN_ENVIRONMENT.fullmatch(path.name)
    return found[1] if found else None


def refuse_twins(path: Path, deployment: str) -> None:
    """Raises SettingsError where another settings file beside it has the same DEPLOYMENT, and so the same servers."""
    for other in _settings_files(path.parent):
        if other.name != path.name and _deployment_in(other) == deployment:
            raise SettingsError(
                f"{path.name} and {other.name} have the same DEPLOYMENT, {deployment!r}",
                where=str(path.resolve()),
                why="each would take the other's servers for its own",
                hint="give each environment another name",
            )


def _settings_files(directory: Path) -> list[Path]:
    found = [path for path in sorted(directory.glob("settings_*.py")) if environment_of(path)]
    return [path for path in (directory / FILENAME, *found) if _deployment_in(path) is not None]


def _deployment_in(path: Path) -> str | None:
    """What stands behind DEPLOYMENT there; "" where it is no plain text, None where there is no such line."""
    try:
        found = DEPLOYMENT.search(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return (found[1] or "") if found else None


@contextmanager
def _beside(directory: Path) -> Iterator[None]:
    """Modules there can be imported, `from settings import *` for one, and are read anew the next time."""
    before, place = set(sys.modules), str(directory.resolve())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).parent == Path(place):
                del sys.modules[name]


def execute(path: Path) -> dict[str, Any]:
    """Run a settings file and return its names. Raises SettingsError with the line that failed."""
    if not path.is_file():
        raise SettingsError(
            f"There is no {path.name} here",
            where=str(path.parent.resolve()),
            why="deploymachine reads the deployment's servers and sites from it",
            hint="`deploymachine init mysite` makes a directory with one",
        )
    try:
        with _beside(path.parent):
            return runpy.run_path(str(path))
    except SyntaxError as error:
        raise SettingsError(f"{path.name} is not valid Python", where=f"{path}:{error.lineno}", why=error.msg) from None
    except Exception as error:
        line = next(
            (f.lineno for f in reversed(traceback.extract_tb(error.__traceback__)) if f.filename == str(path)), "?"
        )
        raise SettingsError(f"{path.name} raised while it was read", where=f"{path}:{line}", why=repr(error)) from None
