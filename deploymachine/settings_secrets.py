"""What settings.py says of secrets in, checked values out: who may read the file, where values come from otherwise."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StringConstraints, model_validator

from deploymachine.settings_servers import Frozen

SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,99}$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")]


def _public(entry: str) -> str:
    if entry.upper().startswith("AGE-SECRET-KEY"):
        raise ValueError("is an identity, which must stay secret: name its public key, `age-keygen -y FILE` prints it")
    return entry


Recipient = Annotated[str, StringConstraints(min_length=1), AfterValidator(_public)]


class SecretSource(Frozen):
    """Where a secret's value comes from each time it is needed: an environment variable, or a command's output."""

    environment: VariableName | None = None
    command: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> SecretSource:
        if (self.environment is None) == (self.command is None):
            raise ValueError('is {"environment": "A_NAME"} or {"command": ["pass", "show", "a/name"]}')
        if self.command is not None and not (self.command and self.command[0]):
            raise ValueError("has an empty command: it is a list of words, the program first")
        return self


class SecretReference(Frozen):
    """A value that stands among the secrets, under that name."""

    secret: SecretName


def _text_or_reference(value: Any) -> Any:
    if isinstance(value, (str, SecretReference)):
        return value
    if isinstance(value, dict) and set(value) == {"secret"}:
        return SecretReference(**value)
    raise ValueError('is a text, or {"secret": "a-name"}')


Variable = Annotated[str | SecretReference, BeforeValidator(_text_or_reference)]
