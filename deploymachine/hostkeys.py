"""Pinned SSH host keys: (server, address, port, key) in, OpenSSH known_hosts lines out that only we replace."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deploymachine.errors import SettingsError
from deploymachine.settings_file import state_here

if TYPE_CHECKING:
    from deploymachine.settings import Settings

MARK = "deploymachine:"
ED25519 = "ssh-ed25519"


class HostKeys:
    """The deployment's known_hosts: one line per address and port, its comment naming the server it belongs to.

    When SSH_USER_KNOWN_HOSTS is set the same lines are kept there too, so that plain `ssh` knows the keys.
    Lines without our comment are never touched.
    """

    def __init__(self, settings: Settings) -> None:
        self.path = settings.state / "known_hosts"
        self._deployment = settings.DEPLOYMENT
        self._user_path = _user_path(settings)

    def pin(self, server_name: str, address: str, port: int, key_line: str) -> list[str]:
        """Make `key_line` ("ssh-ed25519 AAAA...") the key of address:port. Returns warnings to show the user.

        Replaces what deploymachine pinned there before. Raises SettingsError when a file can't be written.
        """
        host = host_field(address, port)
        key = _bare(key_line)
        line = f"{host} {key} {self._comment(server_name)}"
        self._rewrite(lambda lines: [*(kept for kept in lines if not (_is_ours(kept) and _host(kept) == host)), line])
        return self._contradictions(host, key)

    def unpin(self, server_name: str) -> None:
        """Forget every key of the server, whatever its address. Raises SettingsError when a file can't be written."""
        comment = self._comment(server_name)
        self._rewrite(lambda lines: [line for line in lines if not line.endswith(f" {comment}")])

    def unpin_all(self) -> None:
        """Forget every key of the deployment: its servers are gone. Raises SettingsError as `unpin` does."""
        mark = f" {self._comment('')}"
        self._rewrite(lambda lines: [line for line in lines if mark not in line])

    def get(self, address: str, port: int, server_name: str | None = None) -> str | None:
        """The key pinned for address:port (as that of `server_name`, if given) as "ssh-ed25519 AAAA...", or None."""
        host = host_field(address, port)
        comment = f" {self._comment(server_name)}" if server_name is not None else ""
        found = (line for line in _read(self.path) if _host(line) == host and line.endswith(comment))
        return next((_bare(line.partition(" ")[2]) for line in found), None)

    def known_to_user(self, address: str, port: int) -> str | None:
        """The key that the user's own ssh knows for address:port, an ed25519 one first; None where it knows none."""
        host = host_field(address, port)
        lines = (
            line for line in _read(self._user_path or Path("~/.ssh/known_hosts").expanduser()) if _names(line, host)
        )
        found = sorted((_bare(line.partition(" ")[2]) for line in lines), key=lambda key: not key.startswith(ED25519))
        return next(iter(found), None)

    def _comment(self, server_name: str) -> str:
        return f"{MARK}{self._deployment}/{server_name}"

    def _rewrite(self, change: Callable[[list[str]], list[str]]) -> None:
        with locked(self.path.with_suffix(".lock")):
            for path in filter(None, (self.path, self._user_path)):
                before = _read(path)
                after = change(before)
                if after != before:
                    _write(path, after)

    def _contradictions(self, host: str, key: str) -> list[str]:
        if self._user_path is None:
            return []
        kind = key.split()[0]
        return [
            f"{self._user_path}:{number} holds another {kind} key for {host}; it is not ours and was left alone"
            for number, line in enumerate(_read(self._user_path), 1)
            if not _is_ours(line)
            and _names(line, host)
            and line.split()[1] == kind
            and _bare(line.split(" ", 1)[1]) != key
        ]


def pinned_names(directory: Path) -> set[str]:
    """The servers whose keys are pinned in the deployment of that directory."""
    lines = _read(state_here(directory) / "known_hosts")
    return {line.rpartition("/")[2] for line in lines if _is_ours(line)}


def host_field(address: str, port: int) -> str:
    """The host as OpenSSH and Paramiko look it up: the bare address for port 22, else [address]:port."""
    return address if port == 22 else f"[{address}]:{port}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` (made when it is not there), across processes and threads."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _user_path(settings: Settings) -> Path | None:
    if settings.SSH_USER_KNOWN_HOSTS is None:
        return None
    # A symlinked file stays a symlink: what it points to is replaced.
    return (settings.directory / Path(settings.SSH_USER_KNOWN_HOSTS).expanduser()).resolve()


def _read(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SettingsError("The known_hosts file can't be read", where=str(path), why=error.strerror) from None


def _write(path: Path, lines: list[str]) -> None:
    temporary = path.with_name(f".{path.name}.deploymachine")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogateescape")
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError as error:
        raise SettingsError("The known_hosts file can't be written", where=str(path), why=error.strerror) from None


def _is_ours(line: str) -> bool:
    return line.rpartition(" ")[2].startswith(MARK)


def _host(line: str) -> str:
    return line.partition(" ")[0]


def _bare(key_line: str) -> str:
    return " ".join(key_line.split()[:2])


def _names(line: str, host: str) -> bool:
    """Whether a foreign known_hosts line is about `host`, plainly or hashed (HashKnownHosts)."""
    fields = line.split()
    if len(fields) < 3 or line.startswith(("#", "@")):
        return False
    if fields[0].startswith("|1|"):
        return _hash_matches(fields[0], host)
    return host in fields[0].split(",")


def _hash_matches(field: str, host: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part) for part in field.split("|")[2:4])
    except ValueError:
        return False
    return hmac.compare_digest(hmac.new(salt, host.encode(), hashlib.sha1).digest(), digest)
