"""A command (argv) goes in, its exit code and output come out; no other module starts a process."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, Dict, List, NamedTuple, Optional, Union

from kokki.exceptions import Fail

LAST_LINES = 20
LONGEST_OUTPUT = 16 * 2**20  # bytes kept of what a command prints, its end
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Completed(NamedTuple):
    """argv as run, exit code (negative: the signal that ended it), stdout and stderr as they came."""

    argv: Sequence[str]
    code: int
    output: str

    @property
    def lines(self) -> List[str]:
        return [line for line in self.output.splitlines() if line.strip()][-LAST_LINES:]


def shown(argv: Sequence[str]) -> str:
    """The command as one would type it."""
    import shlex

    if list(argv[:2]) == ["/bin/sh", "-c"]:
        return argv[2]
    return " ".join(shlex.quote(word) for word in argv)


def run(
    argv: Sequence[str],
    *,
    user: Union[str, int, None] = None,
    group: Union[str, int, None] = None,
    cwd: Optional[str] = None,
    environment: Optional[Mapping[str, str]] = None,
    stdin: Union[str, bytes, None] = None,
    timeout: Optional[float] = None,
) -> Completed:
    """Run argv to its end; it can't ask anything (no terminal, stdin empty or as given).

    Output goes through a file, so a daemon that a command leaves behind can't keep us waiting.
    timeout: seconds, then the command and its children are ended and Fail is raised.
    """
    import subprocess

    argv = [str(word) for word in argv]
    with _scratch_file() as output:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=_environment(user, environment),
                start_new_session=True,
                **_identity(user, group),
            )
        except OSError as error:
            raise Fail(f"{argv[0]} can't be run: {error.strerror}", command=shown(argv)) from None
        _finish(process, stdin, timeout)
        output.seek(max(0, output.seek(0, os.SEEK_END) - LONGEST_OUTPUT))
        return Completed(argv, process.returncode, output.read().decode("utf-8", "replace"))


def check(argv: Sequence[str], what: str, **options: Any) -> Completed:
    """Like run, but an exit code other than 0 is a Fail that says what failed."""
    completed = run(argv, **options)
    if completed.code != 0:
        raise failed(completed, what)
    return completed


def failed(completed: Completed, what: str) -> Fail:
    ended = f"exit code {completed.code}" if completed.code >= 0 else f"ended by signal {-completed.code}"
    return Fail(f"{what}: {ended}", command=shown(completed.argv), exit_code=completed.code, output=completed.lines)


def condition(command: str) -> bool:
    """Whether a shell command, as guards are written, ends with 0."""
    return run(["/bin/sh", "-c", command]).code == 0


def _scratch_file() -> BinaryIO:
    """A file without a name. Made by hand where that works: tempfile takes 5 ms to import."""
    try:
        return os.fdopen(os.open("/tmp", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600), "w+b")  # noqa: S108
    except OSError:
        import tempfile

        return tempfile.TemporaryFile()


def _finish(process: Any, stdin: Union[str, bytes, None], timeout: Optional[float]) -> None:
    import signal
    import subprocess

    data = stdin.encode() if isinstance(stdin, str) else stdin
    try:
        process.communicate(data, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise Fail(f"no end after {timeout:g} s", command=shown(process.args)) from None


def _environment(user: Union[str, int, None], extra: Optional[Mapping[str, str]]) -> Dict[str, str]:
    from kokki import accounts

    found = {"PATH": os.environ.get("PATH", DEFAULT_PATH), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    found["HOME"] = os.environ.get("HOME", "/root")
    account = accounts.find_user(user) if user is not None else None
    if account is not None:
        found.update(HOME=account.home, USER=account.name, LOGNAME=account.name)
    return {**found, **{key: str(value) for key, value in (extra or {}).items()}}


def _identity(user: Union[str, int, None], group: Union[str, int, None]) -> Dict[str, Any]:
    """Popen's arguments for running as somebody else, with the groups a login would give."""
    from kokki import accounts

    if user is None and group is None:
        return {}
    account = accounts.find_user(user) if user is not None else None
    if user is not None and account is None:
        raise Fail(f"there is no user {user} to run this as")
    gid = accounts.gid_of(group) if group is not None else account.gid if account is not None else None
    if gid is None:
        raise Fail(f"there is no group {group} to run this as")
    if account is None:
        return {"group": gid}
    if account.uid == os.geteuid() and gid == os.getegid():
        return {}
    return {"user": account.uid, "group": gid, "extra_groups": os.getgrouplist(account.name, gid)}
