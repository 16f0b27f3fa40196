"""Where the engine's own state and the system's databases lie; `KOKKI_ROOT` puts all of it elsewhere."""

from __future__ import annotations

import os


def system_path(path: str) -> str:
    """The absolute path of a system file such as /etc/passwd, below KOKKI_ROOT when that is set."""
    return os.environ.get("KOKKI_ROOT", "") + path


def state_path(name: str) -> str:
    return system_path(f"/var/lib/deploymachine/kokki/{name}")


def lock_path() -> str:
    return system_path("/run/lock/deploymachine-kokki.lock")


def private_directory(path: str) -> str:
    """Make the directory, readable by its owner only, and give it back."""
    os.makedirs(path, 0o700, exist_ok=True)
    return path


def write_atomically(path: str, data: bytes, mode: int = 0o600) -> None:
    """Replace a file of the engine's own: all of it or nothing, also when killed."""
    temporary = f"{path}.{os.getpid()}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
