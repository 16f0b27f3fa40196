"""Commands in, run at the same time, what each printed out; one that does not end is ended."""

from __future__ import annotations

import subprocess
import time
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

SECONDS = 8.0  # that all of them have together


class Command(NamedTuple):
    """An argv list, and whose it is; None: root's."""

    argv: Sequence[str]
    user: Optional[str] = None


class Ended(NamedTuple):
    """What came of it. code: None where it was ended, or could not begin."""

    code: Optional[int]
    output: str
    why: str = ""


class Children:
    """They begin at once; `ended` waits for them."""

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self.deadline = time.monotonic() + SECONDS
        self.failed: Dict[str, Ended] = {}
        self.processes: Dict[str, subprocess.Popen[str]] = {}
        for name, command in commands.items():
            try:
                self.processes[name] = _begun(command)
            except OSError as error:
                self.failed[name] = Ended(None, "", f"{command.argv[0]} can't be run: {error.strerror}")

    def ended(self) -> Dict[str, Ended]:
        """Name -> what came of the command."""
        return {**self.failed, **{name: self._of(process) for name, process in self.processes.items()}}

    def _of(self, process: subprocess.Popen[str]) -> Ended:
        with process:
            try:
                output, errors = process.communicate(timeout=max(0.1, self.deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                return Ended(None, "", f"no answer in {SECONDS:.0f} s")
        return Ended(process.returncode, output, (errors.strip().splitlines() or [""])[-1][:300])


def _begun(command: Command) -> subprocess.Popen[str]:
    options: Dict[str, Any] = {}
    if command.user is not None:
        import pwd

        try:
            entry = pwd.getpwnam(command.user)
        except KeyError:
            raise OSError(0, f"there is no user {command.user}") from None
        options = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": _groups(command.user, entry.pw_gid)}
    return subprocess.Popen(
        list(command.argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd="/",
        **options,
    )


def _groups(user: str, group: int) -> Sequence[int]:
    import os

    return os.getgrouplist(user, group)
