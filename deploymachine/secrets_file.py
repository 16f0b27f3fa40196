"""The file that secrets are kept in: names and values in and out, in plain JSON (0600) or encrypted with age."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from deploymachine.errors import SettingsError

if TYPE_CHECKING:
    from deploymachine.age import Seal

Known = dict[str, str]
Answer = TypeVar("Answer")
LOST = "put back a copy of it: the servers know these passwords, new ones would not be theirs"
SEALED = ".age"
# Beside the secrets: for whom the file is encrypted, so that a change of that is seen.
RECIPIENTS = ".recipients"


class SecretsFile:
    """path: the plain file; the encrypted one is called that and ".age". seal: None where nobody encrypts it."""

    def __init__(self, path: Path, seal: Seal | None = None) -> None:
        self.plain, self.sealed, self._seal = path, path.with_name(path.name + SEALED), seal
        self._seen: tuple[tuple[int, int, int], Known] | None = None

    def read(self) -> Known:
        """What is there; {} where there is no file yet. A plain file that should be encrypted is converted at once."""
        if self._seal is None:
            return self._read_plain()
        if self.plain.exists():
            self.change(lambda _known: None)
        known = self._read_sealed()
        if known and known.get(RECIPIENTS) != self._seal.mark:
            self.change(lambda _known: None)
        return {name: value for name, value in known.items() if name != RECIPIENTS}

    def change(self, change: Callable[[Known], Answer]) -> Answer:
        """Have `change` alter what is there, nobody else meanwhile, and keep that; what it returned."""
        self.plain.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.plain.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = self._read_plain() if self._seal is None else self._read_either()
            answer = change(known)
            self._write(known)
        finally:
            os.close(lock)
        return answer

    def where(self) -> Path:
        """The file that is in use."""
        return self.plain if self._seal is None else self.sealed

    def _read_plain(self) -> Known:
        if self.sealed.exists():
            raise SettingsError(
                "The secrets file is encrypted, but SECRETS_RECIPIENTS names nobody",
                where=str(self.sealed),
                hint="name them again in settings.py; to have it plain, "
                f"`age --decrypt -i IDENTITY -o {self.plain.name} {self.sealed.name}` there, then remove that",
            )
        return self._parsed(self.plain)

    def _read_either(self) -> Known:
        """The encrypted file; or the plain one, which is about to be converted."""
        sealed = self._read_sealed()
        if not self.plain.exists():
            return sealed
        plain = self._parsed(self.plain)
        if sealed and plain != {name: value for name, value in sealed.items() if name != RECIPIENTS}:
            raise SettingsError(
                f"{self.plain.name} and {self.sealed.name} are both there, and differ",
                where=str(self.plain.parent),
                hint=f"remove the one that is out of date (`age --decrypt -i IDENTITY {self.sealed.name}`)",
            )
        return plain

    def _parsed(self, path: Path) -> Known:
        try:
            return _checked(path.read_bytes(), path)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SettingsError("The secrets file can't be read", where=str(path), why=str(error), hint=LOST) from None

    def _read_sealed(self) -> Known:
        assert self._seal is not None  # noqa: S101 (only called where there is one)
        try:
            told = self.sealed.stat()
            stamp = (told.st_mtime_ns, told.st_size, told.st_ino)
            if self._seen is None or self._seen[0] != stamp:
                data = self._seal.opened(self.sealed.read_bytes(), self.sealed)
                self._seen = stamp, _checked(data, self.sealed)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SettingsError(
                "The secrets file can't be read", where=str(self.sealed), why=str(error), hint=LOST
            ) from None
        return dict(self._seen[1])

    def _write(self, known: Known) -> None:
        if self._seal is None:
            _replace(self.plain, _text(known))
            return
        data = _text({**known, RECIPIENTS: self._seal.mark})
        converts = self.plain.exists()
        _replace(self.sealed, self._seal.sealed(data))
        if converts:
            self.plain.unlink()
            print(f"{self.plain} is encrypted now: {self.sealed.name}", file=sys.stderr)


def _text(known: Known) -> bytes:
    return (json.dumps(known, indent=2, sort_keys=True) + "\n").encode()


def _checked(data: bytes, path: Path) -> Known:
    try:
        known = json.loads(data)
    except ValueError as error:
        raise SettingsError("The secrets file can't be read", where=str(path), why=str(error), hint=LOST) from None
    if not isinstance(known, dict) or not all(isinstance(value, str) for value in known.values()):
        raise SettingsError(
            "The secrets file is not a JSON object of texts", where=str(path), hint="put back a copy of it"
        )
    return known


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".new")
    with os.fdopen(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
