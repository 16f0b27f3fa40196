"""ADMIN_SSH_KEYS (key lines, or paths of .pub files) and admins/*.pub in, checked public key lines out."""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from deploymachine.errors import SettingsError

if TYPE_CHECKING:
    from deploymachine.settings import Settings

KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
FOLDER = "admins"
LOOKS_LIKE_A_KEY = ("ssh-", "ecdsa-", "sk-")


def read(settings: Settings) -> tuple[str, ...]:
    """The administrators' public key lines, each once. Paths may start with ~ and are relative to settings.py.

    Raises SettingsError naming the entry that is missing, is a private key, or is no key at all.
    """
    return tuple(line for line, _ in named(settings))


def named(settings: Settings) -> list[tuple[str, str]]:
    """Those lines, each with what says so: "ADMIN_SSH_KEYS[0]", "admins/grace.pub". Raises SettingsError."""
    found: dict[str, str] = {}
    for index, entry in enumerate(settings.ADMIN_SSH_KEYS):
        where = f"ADMIN_SSH_KEYS[{index}]"
        for line in _keys(entry.strip(), where, settings.directory):
            found.setdefault(line, where)
    for path in sorted(folder(settings).glob("*.pub")):
        for line in _from_file(path, FOLDER):
            found.setdefault(line, f"{FOLDER}/{path.name}")
    return list(found.items())


def folder(settings: Settings) -> Path:
    """Where the keys of admins lie that a command let in, a file each, besides those that ADMIN_SSH_KEYS names."""
    return settings.directory / FOLDER


def one(entry: str, settings: Settings) -> str:
    """The one key line that `entry` is, or that the file of that name holds. Raises SettingsError."""
    lines = _keys(entry.strip(), "--key", settings.directory)
    if len(lines) != 1:
        raise SettingsError(f"--key names {len(lines)} keys", where=entry, hint="one at a time, each with a name")
    return lines[0]


def fingerprint(line: str) -> str:
    """As ssh shows it: "SHA256:..."; "" of what is no key."""
    if not is_key(line):
        return ""
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _keys(entry: str, setting: str, directory: Path) -> list[str]:
    if "PRIVATE KEY" in entry:
        raise _private(setting, "the public half: the line in the file that ends in .pub")
    if entry.startswith(LOOKS_LIKE_A_KEY) and " " in entry:
        return [_checked(entry, setting)]
    return _from_file(directory / Path(entry).expanduser(), setting)


def _from_file(path: Path, setting: str) -> list[str]:
    where = f"{setting}: {path}"
    text = _text(path, where)
    if "PRIVATE KEY" in text:
        raise _private(where, f"the public half: {path}.pub")
    lines = [line.strip() for line in text.splitlines()]
    keys = [_checked(line, f"{where}:{number}") for number, line in enumerate(lines, 1) if line and line[0] != "#"]
    if not keys:
        raise SettingsError("A file of administrators' keys is empty", where=where, hint="put a public key in it")
    return keys


def _text(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        make = f"make a key with `ssh-keygen -t ed25519 -f {path.with_suffix('')}`" if path.suffix == ".pub" else ""
        raise SettingsError(
            "An administrator's key file is not there",
            where=where,
            hint=f"{make or 'name a .pub file that exists'}, or put the public key itself into ADMIN_SSH_KEYS",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError("An administrator's key file can't be read", where=where, why=why) from None


def _private(where: str, instead: str) -> SettingsError:
    return SettingsError(
        f"{where.partition(':')[0].partition('[')[0]} names a private key",
        where=where,
        why="only public keys go to the servers; a private one would give everybody there your identity",
        hint=f"name {instead}",
    )


def _checked(line: str, where: str) -> str:
    fields = line.split(None, 2)
    if fields[0] not in KEY_TYPES:
        raise _not_a_key(where, f"{fields[0][:40]!r} is no key type that sshd takes; those are {', '.join(KEY_TYPES)}")
    if len(fields) < 2 or _type_inside(fields[1]) != fields[0]:
        raise _not_a_key(where, f"what follows {fields[0]!r} is not such a key: it is cut off or was changed")
    return " ".join(fields)


def is_key(line: str) -> bool:
    """Whether the line is an SSH public key, such as "ssh-ed25519 AAAA..."."""
    fields = line.split()
    return len(fields) > 1 and fields[0] in KEY_TYPES and _type_inside(fields[1]) == fields[0]


def _not_a_key(where: str, why: str) -> SettingsError:
    hint = "copy the whole line of a .pub file, such as ~/.ssh/id_ed25519.pub, or name that file"
    return SettingsError("This is not an SSH public key", where=where, why=why, hint=hint)


def _type_inside(blob: str) -> str | None:
    """The key type a base64 blob itself names; None when it is damaged (its length-prefixed fields don't fit)."""
    try:
        data = base64.b64decode(blob, validate=True)
    except binascii.Error:
        return None
    fields = []
    while data:
        length = int.from_bytes(data[:4], "big")
        if len(data) < 4 + length:
            return None
        fields.append(data[4 : 4 + length])
        data = data[4 + length :]
    return fields[0].decode(errors="replace") if len(fields) > 1 else None
