"""The deployment's secrets: made on first use, kept in one file that only its owner can read, or fetched elsewhere."""

from __future__ import annotations

import secrets as random_source
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploymachine.errors import SettingsError, UsageError
from deploymachine.secrets_file import Known, SecretsFile

if TYPE_CHECKING:
    from deploymachine.age import Seal
    from deploymachine.settings import Settings
    from deploymachine.settings_secrets import SecretSource

HIDDEN = "********"
FILENAME = "secrets.json"
NOTE = "."  # in front of what is remembered beside the secrets, and is none
NEXT, FORMER, TURN = ".next", ".former", ".turn-"
OTHER = "-b"  # at the end of the second of two logins that take turns


SUDO = "deploy-password"
TURNED = "deploy-password-turned"  # a note: the servers that have the one that waits


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


def of(settings: Settings) -> Secrets:
    """The secrets of a deployment, as its settings say. Raises SettingsError."""
    seal = None
    if settings.SECRETS_RECIPIENTS:
        from deploymachine import age

        seal = age.seal(settings)
    return Secrets(settings.state / FILENAME, seal, settings.SECRETS)


class Secrets:
    """Named secrets in a JSON file (0600). A name that is not there yet is made and kept at once.

    path: of the file where it is not encrypted. sources: those whose values are fetched elsewhere, and never kept.
    """

    def __init__(self, path: Path, seal: Seal | None = None, sources: Mapping[str, SecretSource] | None = None) -> None:
        self.file = SecretsFile(path, seal)
        self.sources = sources or {}

    def password(self, name: str) -> Secret:
        """A random password of 32 URL-safe characters."""
        return self._get(name, new_password)

    def key(self, name: str) -> Secret:
        """A random key of 64 URL-safe characters, such as Django's SECRET_KEY."""
        return self._get(name, new_key)

    def password_hash(self, name: str) -> Secret:
        """The bcrypt hash of the password `name`, always the same one, so that a second run changes nothing."""
        import bcrypt

        password = self.password(name)
        return self._get(f"{name}-hash", lambda: bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=8)).decode())

    def made_by(self, name: str, make: Callable[[], str]) -> Secret:
        """A secret of another kind: what `make` returns the first time."""
        return self._get(name, make)

    def given(self, name: str, wanted_by: str) -> Secret:
        """A secret that only a person can have set. Raises SettingsError where nobody has."""
        if (found := self.get(name)) is None:
            raise SettingsError(
                f"There is no secret {name!r}, which {wanted_by} names", hint=f"`fab secrets.set {name}` asks for it"
            )
        return found

    def get(self, name: str) -> Secret | None:
        """The value as it is; None where there is none."""
        if name in self.sources:
            from deploymachine.secrets_sources import fetched

            return fetched(name, self.sources[name])
        value = self.file.read().get(name)
        return None if value is None else Secret(value)

    def set(self, name: str, value: str) -> None:
        """Keep another value from now on. Raises UsageError where it comes from elsewhere."""
        self.refuse_foreign(name)

        def write(known: Known) -> None:
            known[name] = value
            known.pop(f"{name}-hash", None)

        self.file.change(write)

    def refuse_foreign(self, name: str) -> None:
        """Raises UsageError for a secret that is not kept here."""
        if name in self.sources:
            raise UsageError(
                f"The secret {name} is not kept here: SECRETS in settings.py says where it comes from",
                hint="change it there",
            )

    def every(self) -> list[Secret]:
        """All that were made so far."""
        return [Secret(value) for name, value in self.file.read().items() if not name.startswith(NOTE)]

    # Rotation. At first a new value is accepted besides the one in use; then it is used, and the former one accepted
    # still; then that one is given up.

    def begin(self, name: str, value: str) -> None:
        """Have the new value accepted from now on; one that waits already stays."""
        self.file.change(lambda known: known.setdefault(f"{name}{NEXT}", value))

    def take_turns(self, name: str) -> None:
        """Use the value that waits, and accept the one that was used until now."""

        def write(known: Known) -> None:
            known[f"{name}{FORMER}"], known[name] = known[name], known.pop(f"{name}{NEXT}")
            known.pop(f"{name}-hash", None)
            if (made := known.pop(f"{name}{NEXT}-hash", None)) is not None:
                known[f"{name}-hash"] = made
            known[f"{TURN}{name}"] = "" if known.get(f"{TURN}{name}") else OTHER

        self.file.change(write)

    def finish(self, name: str) -> None:
        """Give the former value up."""
        self.file.change(lambda known: known.pop(f"{name}{FORMER}", None))

    def waiting(self, name: str) -> Secret | None:
        """The value that is accepted and not used yet."""
        return self.get(f"{name}{NEXT}")

    def former(self, name: str) -> Secret | None:
        """The value that is accepted still."""
        return self.get(f"{name}{FORMER}")

    def besides(self, name: str) -> list[Secret]:
        """The values that are accepted besides the one in use."""
        return [value for value in (self.waiting(name), self.former(name)) if value is not None]

    def login(self, name: str, user: str) -> str:
        """Who logs in with the password `name`: two logins of one user take turns, where it can have one password."""
        return user + self.file.read().get(f"{TURN}{name}", "")

    def logins(self, name: str, user: str) -> dict[str, Secret | None]:
        """Login -> its password, of all there have to be; None: it is there, and nobody may use it."""
        now, known = self.login(name, user), self.file.read()
        other = user if now != user else user + OTHER
        besides = self.besides(name)
        found: dict[str, Secret | None] = {now: self.password(name)}
        if besides or f"{TURN}{name}" in known:
            found[other] = besides[0] if besides else None
        return found

    def sudo_on(self, server: str) -> str:
        """The name of the password that a server's sudo takes: while it is rotated that is another on some of them."""
        turned = self.waiting(SUDO) is not None and server in self.note(TURNED)
        return f"{SUDO}{NEXT}" if turned else SUDO

    def note(self, name: str) -> list[str]:
        """What is remembered under a name that is no secret's."""
        return self.file.read().get(f"{NOTE}{name}", "").split()

    def add_to_note(self, name: str, word: str) -> None:
        def write(known: Known) -> None:
            words = known.get(f"{NOTE}{name}", "").split()
            known[f"{NOTE}{name}"] = " ".join(dict.fromkeys([*words, word]))

        self.file.change(write)

    def forget_note(self, name: str) -> None:
        self.file.change(lambda known: known.pop(f"{NOTE}{name}", None))

    def _get(self, name: str, make: Callable[[], str]) -> Secret:
        found = self.get(name)
        return found if found is not None else Secret(self.file.change(lambda known: known.setdefault(name, make())))


def new_password() -> str:
    return random_source.token_urlsafe(24)


def new_key() -> str:
    return random_source.token_urlsafe(48)
