"""A user name in, the right to act as that user out: root's powers are put aside while a site's files are handled."""

from __future__ import annotations

import os
import pwd
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List

from release.values import Failure


@dataclass(frozen=True)
class Account:
    """A system user. drop: whether this process is root and has powers to put aside."""

    name: str
    uid: int
    gid: int
    drop: bool

    @classmethod
    def named(cls, name: str) -> Account:
        """The account of that name. Raises Failure when there is none, or when this process can't become it."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise Failure(
                f"There is no user {name!r} on this server", hint="cook the server first, then release"
            ) from None
        me = os.geteuid()
        if me not in (0, entry.pw_uid):
            raise Failure(f"Acting as {name!r} takes root", why=f"this runs as the user number {me}")
        return cls(name, entry.pw_uid, entry.pw_gid, drop=me == 0 and entry.pw_uid != 0)

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Everything in here is done as this user."""
        if not self.drop:
            yield
            return
        groups = os.getgroups()
        umask = os.umask(0o022)
        os.setgroups([])
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            _regain(groups)
            os.umask(umask)

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Root again for a moment inside `acting`: supervisor obeys nobody else."""
        if not self.drop:
            yield
            return
        os.seteuid(0)
        try:
            yield
        finally:
            os.seteuid(self.uid)

    def child(self) -> Dict[str, Any]:
        """Arguments of subprocess that give the powers up for good; `acting` dropped the groups already."""
        return {"user": self.uid, "group": self.gid} if self.drop else {}


def _regain(groups: List[int]) -> None:
    os.seteuid(0)
    os.setegid(0)
    os.setgroups(groups)
