"""Recipients and an identity of age in; the secrets file encrypted for them, and decrypted with it, out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploymachine.errors import SettingsError

if TYPE_CHECKING:
    from deploymachine.settings import Settings

VARIABLE = "DEPLOYMACHINE_AGE_IDENTITY"
KEY, SSH_KEY = "AGE-SECRET-KEY-1", "-----BEGIN OPENSSH PRIVATE KEY-----"
RECIPIENT = ("age1", "ssh-ed25519 ", "ssh-rsa ")


@dataclass(frozen=True)
class Seal:
    """recipients: public keys. identity: the file of the private one, or that key itself; None: nobody said."""

    recipients: tuple[str, ...]
    identity: str | None

    @property
    def mark(self) -> str:
        """Another one for other recipients."""
        return hashlib.sha256("\n".join(sorted(self.recipients)).encode()).hexdigest()

    def sealed(self, data: bytes) -> bytes:
        """Encrypted for every recipient. Raises SettingsError where the own identity could not open it again."""
        age = _pyrage()
        made = bytes(age.encrypt(data, [_recipient(age, line) for line in self.recipients]))
        try:
            age.decrypt(made, self._identities(age))
        except age.DecryptError:
            raise SettingsError(
                "You could not read the secrets any more: SECRETS_RECIPIENTS has nobody with your identity",
                where=self._where,
                hint="add its public key (`age-keygen -y FILE`, or the .pub beside an SSH key)",
            ) from None
        return made

    def opened(self, data: bytes, path: Path) -> bytes:
        """Decrypted. Raises SettingsError where that can't be done."""
        age = _pyrage()
        try:
            return bytes(age.decrypt(data, self._identities(age)))
        except age.DecryptError as error:
            raise SettingsError(
                "The secrets file can't be decrypted",
                where=str(path),
                why=f"{error} (with {self._where})",
                hint=f"{VARIABLE} names the file of another identity; or have somebody who can read it add your"
                " public key to SECRETS_RECIPIENTS and run any command",
            ) from None

    @property
    def _where(self) -> str:
        return VARIABLE if self.identity is None or self.identity.startswith(KEY) else self.identity

    def _identities(self, age: Any) -> list[Any]:
        text = self._identity_text()
        try:
            if text.lstrip().startswith(SSH_KEY):
                return [age.ssh.Identity.from_buffer(text.encode())]
            lines = [line.strip() for line in text.splitlines() if line.strip().startswith(KEY)]
            found = [age.x25519.Identity.from_str(line) for line in lines]
        except age.IdentityError as error:
            raise SettingsError(
                "The identity of age can't be used",
                where=self._where,
                why=str(error),
                hint="an SSH key with a passphrase can't be: take one without, or `age-keygen -o FILE`",
            ) from None
        if not found:
            raise SettingsError("There is no identity of age", where=self._where, hint="`age-keygen -o FILE` makes one")
        return found

    def _identity_text(self) -> str:
        if self.identity is None:
            raise SettingsError(
                "The secrets file is encrypted, and nobody said with which identity to read it",
                hint=f"name its file in settings.py (SECRETS_IDENTITY) or in the environment ({VARIABLE})",
            )
        if self.identity.startswith(KEY):
            return self.identity
        try:
            return Path(self.identity).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise SettingsError("The identity of age can't be read", where=self.identity, why=why) from None


def seal(settings: Settings) -> Seal | None:
    """What SECRETS_RECIPIENTS and SECRETS_IDENTITY ask for; None where nobody is named. Raises SettingsError."""
    if not settings.SECRETS_RECIPIENTS:
        return None
    lines = [line for entry in settings.SECRETS_RECIPIENTS for line in _lines(entry, settings.directory)]
    said = os.environ.get(VARIABLE) or None
    if said is None and settings.SECRETS_IDENTITY is not None:
        said = str(settings.directory / Path(settings.SECRETS_IDENTITY).expanduser())
    elif said is not None and not said.startswith(KEY):
        said = str(Path(said).expanduser())
    age = _pyrage()
    for line in lines:
        _recipient(age, line)
    return Seal(tuple(dict.fromkeys(lines)), said)


def _lines(entry: str, directory: Path) -> Iterator[str]:
    """The public keys of one entry: itself, or those in the file it names."""
    if entry.startswith(RECIPIENT):
        yield _bare(entry)
        return
    path = directory / Path(entry).expanduser()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError("SECRETS_RECIPIENTS: a file can't be read", where=str(path), why=why) from None
    found = [_bare(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not found:
        raise SettingsError("SECRETS_RECIPIENTS: no public key stands there", where=str(path))
    yield from found


def _bare(line: str) -> str:
    """Without the comment of an SSH key."""
    return " ".join(line.split()[:2]) if line.startswith("ssh-") else line.strip()


def _recipient(age: Any, line: str) -> Any:
    try:
        kind = age.ssh if line.startswith("ssh-") else age.x25519
        return kind.Recipient.from_str(line)
    except age.RecipientError as error:
        hidden = "an identity, which must stay secret" if line.upper().startswith(KEY) else repr(line)
        raise SettingsError(f"SECRETS_RECIPIENTS: {hidden} is no recipient of age", why=str(error)) from None


def _pyrage() -> Any:
    try:
        import pyrage  # type: ignore[import-untyped]
    except ImportError:
        raise SettingsError(
            "SECRETS_RECIPIENTS needs age's library", hint="`pip install 'deploymachine[age]'`"
        ) from None
    return pyrage
