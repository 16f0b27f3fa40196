"""The deployment's secrets: made on first use, kept in one file that only its owner can read."""

from __future__ import annotations

import fcntl
import json
import os
import secrets as random_source
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploymachine.errors import SettingsError

HIDDEN = "********"


class Secret(str):
    """A text that shows itself to nobody by accident; `str.__str__` and formatting still give the value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"


def on_the_wire(value: Any) -> Any:
    """The same value with every Secret as {"$secret": text}, the form the engine on the server decodes."""
    if isinstance(value, Secret):
        return {"$secret": str.__str__(value)}
    if isinstance(value, dict):
        return {key: on_the_wire(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [on_the_wire(item) for item in value]
    return value


class Secrets:
    """Named secrets in a JSON file (0600). A name that is not there yet is made and kept at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def password(self, name: str) -> Secret:
        """A random password of 32 URL-safe characters."""
        return self._get(name, lambda: random_source.token_urlsafe(24))

    def key(self, name: str) -> Secret:
        """A random key of 64 URL-safe characters, such as Django's SECRET_KEY."""
        return self._get(name, lambda: random_source.token_urlsafe(48))

    def password_hash(self, name: str) -> Secret:
        """The bcrypt hash of the password `name`, always the same one, so that a second run changes nothing."""
        import bcrypt

        password = self.password(name)
        return self._get(f"{name}-hash", lambda: bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=10)).decode())

    def made_by(self, name: str, make: Callable[[], str]) -> Secret:
        """A secret of another kind: what `make` returns the first time."""
        return self._get(name, make)

    def every(self) -> list[Secret]:
        """All that were made so far."""
        return [Secret(value) for value in self._read().values()]

    def _get(self, name: str, make: Callable[[], str]) -> Secret:
        known = self._read().get(name)
        return Secret(known) if known is not None else self._make(name, make)

    def _make(self, name: str, make: Callable[[], str]) -> Secret:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = self._read()
            value = known.setdefault(name, make())
            self._write(known)
        finally:
            os.close(lock)
        return Secret(value)

    def _read(self) -> dict[str, str]:
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise SettingsError(
                "The secrets file can't be read",
                where=str(self._path),
                why=str(error),
                hint="put back a copy of it: the servers know these passwords, new ones would not be theirs",
            ) from None
        if not isinstance(known, dict):
            raise SettingsError(
                "The secrets file is not a JSON object", where=str(self._path), hint="put back a copy of it"
            )
        return known

    def _write(self, known: dict[str, str]) -> None:
        temporary = self._path.with_suffix(".new")
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            json.dump(known, file, indent=2, sort_keys=True)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
