"""What the servers inherit from the machine you type on: extra CA certificates, pip index, apt proxy."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from deploymachine.errors import SettingsError

if TYPE_CHECKING:
    from deploymachine.settings import Settings

INHERIT = "controller"
SYSTEM_WIDE = Path("/etc")
INDEX_URL = re.compile(r"^\s*index[-_]url", re.MULTILINE | re.IGNORECASE)
POST_QUANTUM = ("mlkem768", "sntrup761")


def ca_certificates(settings: Settings) -> dict[str, str]:
    """File name -> PEM of what EXTRA_CA_CERTIFICATES names. A pattern may match nothing, a path may not."""
    found: dict[str, str] = {}
    for entry in settings.EXTRA_CA_CERTIFICATES:
        for path in _paths(entry, settings.directory):
            text = path.read_text(encoding="utf-8", errors="replace")
            if "-----BEGIN CERTIFICATE-----" not in text:
                raise SettingsError("EXTRA_CA_CERTIFICATES: not a PEM certificate", where=str(path))
            found[path.with_suffix(".crt").name] = text
    return found


def _paths(entry: str, directory: Path) -> list[Path]:
    pattern = str(directory / Path(entry).expanduser())
    paths = [Path(match) for match in sorted(glob.glob(pattern))]  # noqa: PTH207 (Path.glob wants no absolute pattern)
    if not paths and not glob.has_magic(pattern):
        raise SettingsError("EXTRA_CA_CERTIFICATES: no such file", where=pattern, hint="mend the path in settings.py")
    return paths


def pip_index_url(settings: Settings) -> str | None:
    """The package index of pip and uv on the servers; None: their own default."""
    if settings.PIP_INDEX_URL != INHERIT:
        return settings.PIP_INDEX_URL
    if not any(_names_an_index(path) for path in _pip_files()):
        return None  # what pip would say, without the half second that it takes to start
    return _reachable_from_servers(_output("python3", "-m", "pip", "config", "get", "global.index-url"))


def more_key_exchanges() -> list[str]:
    """What this machine's Paramiko needs an sshd to offer that would else offer post-quantum key exchanges alone."""
    import paramiko

    known = paramiko.Transport._preferred_kex  # type: ignore[attr-defined]
    return [] if any(name.startswith(POST_QUANTUM) for name in known) else ["curve25519-sha256@libssh.org"]


def _pip_files() -> list[Path]:
    """Where pip looks for its configuration on Linux and macOS, whether it is there or not."""
    home = Path.home()
    xdg = [
        os.environ.get("XDG_CONFIG_HOME") or home / ".config",
        *os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":"),
    ]
    python = shutil.which("python3")
    prefixes = [Path(path).parents[1] for path in (python, os.path.realpath(python))] if python else []
    named = os.environ.get("PIP_CONFIG_FILE")
    return [
        *(Path(place) / "pip" / "pip.conf" for place in (*xdg, home / "Library" / "Application Support")),
        *(place / "pip.conf" for place in (SYSTEM_WIDE, home / ".pip", *prefixes)),
        *([Path(named)] if named else []),
    ]


def _names_an_index(path: Path) -> bool:
    try:
        return INDEX_URL.search(path.read_text(encoding="utf-8", errors="replace")) is not None
    except OSError:
        return False


def apt_proxy(settings: Settings) -> str | None:
    """The proxy of apt on the servers; None: no proxy."""
    if settings.APT_PROXY != INHERIT:
        return settings.APT_PROXY
    line = _output("apt-config", "dump", "--format", "%v%n", "Acquire::http::Proxy")
    return _reachable_from_servers(line)


def _reachable_from_servers(url: str | None) -> str | None:
    """A URL another machine can use: not a file, not this machine's loopback."""
    parts = urlsplit(url or "")
    local = parts.hostname in {None, "localhost", "127.0.0.1", "::1"}
    return url if parts.scheme in {"http", "https"} and not local else None


@cache
def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
