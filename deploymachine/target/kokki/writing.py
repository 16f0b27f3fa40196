"""New content goes in; it replaces a file whole or not at all, with what was not asked to change kept as it was."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import Any, Dict, Mapping

from kokki.exceptions import Fail

State = Dict[str, Any]


def trusted_path(path: str) -> str:
    """Where to write for path: through a symbolic link only if it is ours or root's.

    Whoever owns a directory may put a link there; root must not follow it into /etc/shadow.
    """
    path = str(path)
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return path
    if stat.S_ISLNK(found.st_mode) and found.st_uid in (0, os.geteuid()):
        return os.path.realpath(path)
    return path


def read_file(path: str) -> State:
    """content, mode, owner, group (numbers) of a regular file; {} when nothing (or another's link) is there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return {}
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Fail(f"{path} is there and is no regular file")
        content = b"".join(iter(lambda: os.read(descriptor, found.st_size + 1), b""))
    finally:
        os.close(descriptor)
    return {"content": content, "mode": stat.S_IMODE(found.st_mode), "owner": found.st_uid, "group": found.st_gid}


def set_owner_and_mode(path: str, wanted: Mapping[str, Any]) -> None:
    """Of the file or directory itself, never of what a link that was put there meanwhile leads to."""
    if not {"owner", "group", "mode"}.intersection(wanted):
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _apply(descriptor, wanted)
    finally:
        os.close(descriptor)


class Replacement:
    """The new file beside the old one, complete and on disk, until it lands or is discarded.

    wanted: owner, group (numbers) and mode, as far as asked for; the rest is the old file's.
    """

    def __init__(self, path: str, content: bytes, wanted: Mapping[str, Any]) -> None:
        self.path = path
        self.content = content
        self.temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.kokki")
        with suppress(FileNotFoundError):
            os.unlink(self.temporary)  # of a run that was killed: there is but one run at a time
        try:
            self._write(wanted)
        except BaseException:
            self.discard()
            raise

    def check(self, command: str) -> None:
        """Run the validating command on the new file. Raises Fail when it does not pass."""
        import shlex

        from kokki import process

        text = command.replace("%s", shlex.quote(self.temporary))
        process.check(["/bin/sh", "-c", text], f"the new {self.path} does not pass its check and was not put in place")

    def land(self) -> None:
        try:
            os.replace(self.temporary, self.path)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            self._write_in_place()
        _sync_directory(os.path.dirname(self.path))

    def discard(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self.temporary)

    def _write(self, wanted: Mapping[str, Any]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self.temporary, flags, 0o600)
        except FileNotFoundError:
            raise Fail(f"There is no directory {os.path.dirname(self.path)} to write {self.path} in") from None
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(self.content)
            stream.flush()
            _apply(descriptor, {**_kept(self.path, descriptor), **wanted})
            os.fsync(descriptor)

    def _write_in_place(self) -> None:
        """For a file that is itself a mount point, as containers have: nothing can be renamed over it."""
        with open(self.path, "wb") as stream:
            stream.write(self.content)
        self.discard()


def _kept(path: str, descriptor: int) -> State:
    """Owner, group and mode of the old file, whose extended attributes are copied to the new one right away."""
    try:
        old = os.lstat(path)
    except FileNotFoundError:
        return {}
    if not stat.S_ISREG(old.st_mode):
        return {}
    with suppress(OSError):  # a file system without extended attributes
        for name in os.listxattr(path, follow_symlinks=False):
            with suppress(OSError):
                os.setxattr(descriptor, name, os.getxattr(path, name, follow_symlinks=False))
    return {"owner": old.st_uid, "group": old.st_gid, "mode": stat.S_IMODE(old.st_mode)}


def _apply(descriptor: int, wanted: Mapping[str, Any]) -> None:
    owner, group = wanted.get("owner", -1), wanted.get("group", -1)
    now = os.fstat(descriptor)
    if owner not in (-1, now.st_uid) or group not in (-1, now.st_gid):
        os.fchown(descriptor, owner, group)
        now = os.fstat(descriptor)
    mode = wanted.get("mode", stat.S_IMODE(now.st_mode))
    if mode != stat.S_IMODE(now.st_mode):
        os.fchmod(descriptor, mode)


def _sync_directory(path: str) -> None:
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
