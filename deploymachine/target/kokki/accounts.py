"""The system's users and groups, read from /etc/passwd, group, shadow and gshadow once and again when they change."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

from kokki.paths import system_path


class Account(NamedTuple):
    name: str
    uid: int
    gid: int
    comment: str
    home: str
    shell: str


class GroupEntry(NamedTuple):
    name: str
    gid: int
    members: Tuple[str, ...]


_Signature = Tuple[int, int, int]
_Parse = Callable[[List[List[str]]], Dict[str, Any]]
_read: Dict[str, Tuple[_Signature, Dict[str, Any]]] = {}


def _database(name: str, parse: _Parse) -> Dict[str, Any]:
    """What parse makes of the colon-separated rows of a file, kept until the file changes; {} without the file."""
    path = system_path(name)
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return {}
    signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    known = _read.get(path)
    if known is None or known[0] != signature:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            known = (signature, parse([line.rstrip("\n").split(":") for line in stream]))
        _read[path] = known
    return known[1]


def _accounts(rows: List[List[str]]) -> Dict[str, Account]:
    return {row[0]: Account(row[0], int(row[2]), int(row[3]), row[4], row[5], row[6]) for row in rows if len(row) >= 7}


def _groups(rows: List[List[str]]) -> Dict[str, GroupEntry]:
    return {row[0]: GroupEntry(row[0], int(row[2]), tuple(filter(None, row[3].split(",")))) for row in rows if row[3:]}


def _hashes(rows: List[List[str]]) -> Dict[str, str]:
    return {row[0]: row[1] for row in rows if row[1:]}


def users() -> Dict[str, Account]:
    return _database("/etc/passwd", _accounts)


def groups() -> Dict[str, GroupEntry]:
    return _database("/etc/group", _groups)


def password_hash(user: str) -> Optional[str]:
    """The user's field in /etc/shadow; None without one. Raises PermissionError for others than root."""
    return _database("/etc/shadow", _hashes).get(user)


def group_password_hash(group: str) -> Optional[str]:
    return _database("/etc/gshadow", _hashes).get(group)


def find_user(user: Union[str, int]) -> Optional[Account]:
    """By name or number; also users that only a directory service knows."""
    if isinstance(user, int) or user.isdigit():
        return next((account for account in users().values() if account.uid == int(user)), None)
    known = users().get(user)
    if known is not None or os.environ.get("KOKKI_ROOT"):
        return known
    import pwd

    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_gecos, entry.pw_dir, entry.pw_shell)


def uid_of(user: Union[str, int, None]) -> Optional[int]:
    """The number of a user; None when nobody has that name."""
    if user is None or isinstance(user, int):
        return user
    if user.isdigit():
        return int(user)
    account = find_user(user)
    return account.uid if account is not None else None


def gid_of(group: Union[str, int, None]) -> Optional[int]:
    if group is None or isinstance(group, int):
        return group
    if group.isdigit():
        return int(group)
    known = groups().get(group)
    if known is not None or os.environ.get("KOKKI_ROOT"):
        return known.gid if known is not None else None
    import grp

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def user_name(uid: int) -> str:
    return next((account.name for account in users().values() if account.uid == uid), str(uid))


def group_name(gid: int) -> str:
    return next((entry.name for entry in groups().values() if entry.gid == gid), str(gid))
