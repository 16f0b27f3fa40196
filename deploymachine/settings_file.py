"""settings.py as a file: where it is, and the names it makes when it is run. Checks nothing, so it costs nothing."""

from __future__ import annotations

import os
import runpy
import traceback
from pathlib import Path
from typing import Any

from deploymachine.errors import SettingsError

FILENAME = "settings.py"


def state_directory(directory: Path) -> Path:
    """Where a deployment keeps what it knows between two runs: known_hosts, secrets, certificates, history."""
    return directory / ".deploymachine"


def settings_path(directory: Path) -> Path:
    """Where the settings are: DEPLOYMACHINE_SETTINGS, else settings.py in `directory`."""
    return directory / os.environ.get("DEPLOYMACHINE_SETTINGS", FILENAME)


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
        return runpy.run_path(str(path))
    except SyntaxError as error:
        raise SettingsError(f"{path.name} is not valid Python", where=f"{path}:{error.lineno}", why=error.msg) from None
    except Exception as error:
        line = next(
            (f.lineno for f in reversed(traceback.extract_tb(error.__traceback__)) if f.filename == str(path)), "?"
        )
        raise SettingsError(f"{path.name} raised while it was read", where=f"{path}:{line}", why=repr(error)) from None
