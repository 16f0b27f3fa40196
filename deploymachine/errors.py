"""One error tree: every error says what went wrong, where, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence


class DeployMachineError(Exception):
    """What a user may be shown.

    what: the failure in one sentence.  where: the server, file or address it concerns.
    why: the cause, in the words of whoever refused.  hint: what to do next.
    evidence: lines of output (a failed command's last ones) to show below.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        why: str | None = None,
        hint: str | None = None,
        evidence: Sequence[str] = (),
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.hint = hint
        self.evidence = tuple(evidence)

    def __str__(self) -> str:
        parts = [("where", self.where), ("why", self.why), ("do", self.hint)]
        lines = [self.what, *(f"  {label:<6} {_indented(text)}" for label, text in parts if text)]
        return "\n".join([*lines, *(f"  | {line}" for line in self.evidence)])


def _indented(text: str) -> str:
    return text.strip().replace("\n", "\n" + " " * 9)


class SeveralErrors(DeployMachineError):  # noqa: N818 (it is more than one)
    """More than one server failed: all of it, one after the other."""

    def __init__(self, errors: Sequence[DeployMachineError]) -> None:
        super().__init__(f"{len(errors)} servers failed")
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join([self.what, *(str(error) for error in self.errors)])


class SettingsError(DeployMachineError):
    """settings.py, kokki-config.yaml or the secrets file says something that can't be used."""


class UsageError(DeployMachineError):
    """The command line asks for something that is not there: a server, a type, a name."""


class CloudError(DeployMachineError):
    """OpenStack could not be reached or refused."""


class ConnectError(DeployMachineError):
    """A server could not be logged into."""


class LoginError(ConnectError):
    """No key that the server lets in is held here."""


class HostKeyError(ConnectError):
    """A server showed another host key than the one pinned; never accepted."""


class UnknownHostKeyError(HostKeyError):
    """No host key is known for a server at that port; it was not asked."""


class ConvergeError(DeployMachineError):
    """A run on a server failed."""


class ReleaseError(DeployMachineError):
    """A release of a site failed; the old one goes on serving."""


class DevcloudError(DeployMachineError):
    """devcloud can't do what was asked on this machine."""
