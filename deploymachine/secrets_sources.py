"""Where a secret is kept elsewhere in, its value out: a variable of the environment, or what a command prints."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

from deploymachine.errors import SettingsError
from deploymachine.secrets import Secret

if TYPE_CHECKING:
    from deploymachine.settings_secrets import SecretSource

_fetched: dict[SecretSource, Secret] = {}
LAST = 5  # lines of what a command said


def fetched(name: str, source: SecretSource) -> Secret:
    """The value, asked for once in a run. Raises SettingsError where there is none."""
    if source not in _fetched:
        if source.environment is not None:
            _fetched[source] = from_environment(source.environment, f"SECRETS[{name!r}]")
        else:
            _fetched[source] = from_command(list(source.command or ()), f"SECRETS[{name!r}]")
    return _fetched[source]


def from_environment(variable: str, wanted_by: str) -> Secret:
    value = os.environ.get(variable, "")
    if not value:
        raise SettingsError(f"{variable} is not set in the environment, and {wanted_by} wants it")
    return Secret(value)


def from_command(command: list[str], wanted_by: str) -> Secret:
    """What a command prints on standard output, without the line's end. It may ask on the terminal.

    Raises SettingsError where it can't be run, fails, or prints nothing.
    """
    shown = shlex.join(command)
    try:
        done = subprocess.run(command, capture_output=True, check=False)
        value = done.stdout.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise SettingsError(f"{wanted_by}: {command[0]} can't be run", where=shown, why=error.strerror) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{wanted_by}: what the command prints is no text", where=shown) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").splitlines()[-LAST:]
        raise SettingsError(
            f"{wanted_by}: the command fails", where=shown, why=f"exit code {done.returncode}", evidence=said
        )
    if not value:
        raise SettingsError(f"{wanted_by}: the command prints nothing", where=shown)
    return Secret(value)
