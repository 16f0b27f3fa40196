"""File, Directory and Link: what shall lie at a path, with which content, owner, group and mode."""

from __future__ import annotations

import os
import stat
from typing import Any, ClassVar, Dict, List, Optional, Union

from kokki import accounts
from kokki.base import BooleanArgument, ForcedListArgument, ModeArgument, Resource, ResourceArgument
from kokki.exceptions import Fail
from kokki.providers import Changes, Provider, State
from kokki.secrets import Secret, holds_secret
from kokki.source import Source
from kokki.writing import Replacement, read_file, set_owner_and_mode, trusted_path

__all__ = ["Directory", "File", "Link"]

HIDDEN_DIFF = "(content holds secrets: not shown)\n"


def _own_name(resource: Any) -> Any:
    return resource.name


class File(Resource):
    """A regular file. content: str, bytes, or a Source or other callable that gives one of them.

    backup: False for no copy of what is replaced.  validate: a command with %s for the new file's path before it is
    put in place; a file that fails it never lands.
    """

    action = ForcedListArgument(default="create")
    path = ResourceArgument(default=_own_name)
    content = ResourceArgument()
    owner = ResourceArgument()
    group = ResourceArgument()
    mode = ModeArgument()
    backup = ResourceArgument()
    validate = ResourceArgument()

    actions: ClassVar[List[str]] = [*Resource.actions, "create", "delete", "touch"]
    claims_path = "whole"


class Directory(Resource):
    """recursive: make missing parents too; delete with everything below."""

    action = ForcedListArgument(default="create")
    path = ResourceArgument(default=_own_name)
    owner = ResourceArgument()
    group = ResourceArgument()
    mode = ModeArgument()
    recursive = BooleanArgument(default=False)

    actions: ClassVar[List[str]] = [*Resource.actions, "create", "delete"]
    claims_path = "whole"


class Link(Resource):
    """A symbolic (or hard) link at path that leads to `to`."""

    action = ForcedListArgument(default="create")
    path = ResourceArgument(default=_own_name)
    to = ResourceArgument(required=True)
    hard = BooleanArgument(default=False)

    actions: ClassVar[List[str]] = [*Resource.actions, "create", "delete"]
    claims_path = "whole"


class PathProvider(Provider):
    tells_the_future = True

    def owned(self) -> State:
        """The owner, group (numbers) and mode that were asked for."""
        resource = self.resource
        wanted = {
            "owner": self._known("user", resource.owner, accounts.uid_of(resource.owner)),
            "group": self._known("group", resource.group, accounts.gid_of(resource.group)),
            "mode": resource.mode,
        }
        return {key: value for key, value in wanted.items() if value is not None}

    def _known(self, kind: str, name: Any, number: Optional[int]) -> Union[str, int, None]:
        if name is not None and number is None:
            if not self.env.dry_run:
                raise Fail(
                    f"There is no {kind} {name}", hint=f"declare {kind.title()}({name!r}) before {self.resource}"
                )
            return str(name)  # an earlier resource would make it
        return number

    def describe(self, key: str, old: Any, new: Any) -> str:
        if key == "mode":
            return f"mode {new:04o}" if old is None else f"mode {old:04o} -> {new:04o}"
        if key in ("owner", "group"):
            name = accounts.user_name if key == "owner" else accounts.group_name
            old, new = (name(value) if isinstance(value, int) else value for value in (old, new))
        return super().describe(key, old, new)


class FileProvider(PathProvider):
    makes_parents = False
    _replacement: Optional[Replacement] = None

    def action_create(self) -> None:
        path = trusted_path(self.resource.path)
        current = read_file(path)
        desired = {**self._content(current), **self.owned()}
        if not current:
            desired.setdefault("mode", 0o600 if holds_secret(_text(desired["content"])) else 0o644)
        self._old, self._new = current.get("content"), desired.get("content")
        try:
            self.converge(
                current, desired, lambda changes: self._apply(path, changes), stage=self._stage, diff=self._diff
            )
        finally:
            if self._replacement is not None:
                self._replacement.discard()

    def action_touch(self) -> None:
        if not os.path.exists(self.resource.path):
            self.action_create()

    def action_delete(self) -> None:
        path = self.resource.path
        if os.path.isdir(path) and not os.path.islink(path):
            raise Fail(f"{path} is a directory, not a file")
        self.converge({"exists": os.path.lexists(path)}, {"exists": False}, lambda _changes: self._delete(path))

    def describe(self, key: str, old: Any, new: Any) -> str:
        if key == "exists":
            return "deleted"
        if key != "content":
            return super().describe(key, old, new)
        return f"created ({len(new)} bytes)" if old is None else f"content {len(old)} -> {len(new)} bytes"

    def _content(self, current: State) -> State:
        content = self.resource.content
        if isinstance(content, Source) and _is_known_to_be(content.get_checksum(), current):
            return {"content": current["content"]}
        if callable(content):
            content = content()
        if isinstance(content, str):
            content = content.encode()
        if content is not None and not isinstance(content, bytes):
            raise Fail(f"content is {type(content).__name__}; it must be text, bytes or a callable that gives them")
        if content is None:
            return {} if current else {"content": b""}
        return {"content": content}

    def _stage(self, changes: Changes) -> None:
        if "content" in changes:
            final = {key: change[1] for key, change in changes.items() if key != "content"}
            if self.makes_parents:
                os.makedirs(os.path.dirname(self.resource.path), exist_ok=True)
            self._replacement = Replacement(trusted_path(self.resource.path), changes["content"][1], final)
            if self.resource.validate is not None:
                self._replacement.check(self.resource.validate)

    def _apply(self, path: str, changes: Changes) -> None:
        if self._replacement is None:
            set_owner_and_mode(path, {key: new for key, (_old, new) in changes.items()})
            return
        if self._old is not None and self.resource.backup is not False:
            self.env.backup_file(path)
        self._replacement.land()

    def _delete(self, path: str) -> None:
        if self.resource.backup is not False and os.path.isfile(path) and not os.path.islink(path):
            self.env.backup_file(path)
        os.unlink(path)

    def _diff(self) -> str:
        from kokki.diff import unified

        old, new = self._old, self._new
        if new is None or old == new:
            return ""
        if holds_secret(_text(new)) or holds_secret(_text(old)) or isinstance(self.resource.content, Secret):
            return HIDDEN_DIFF
        return unified(str(self.resource.path), old, new)


class DirectoryProvider(PathProvider):
    def action_create(self) -> None:
        path = trusted_path(self.resource.path)
        current: Dict[str, Any] = {}
        if os.path.lexists(path):
            found = os.stat(path)
            if not stat.S_ISDIR(found.st_mode):
                raise Fail(f"{path} is there and is no directory")
            current = {
                "exists": True,
                "mode": stat.S_IMODE(found.st_mode),
                "owner": found.st_uid,
                "group": found.st_gid,
            }
        self.converge(current, {"exists": True, **self.owned()}, lambda changes: self._make(path, changes))

    def action_delete(self) -> None:
        path = self.resource.path
        there = os.path.isdir(path) and not os.path.islink(path)
        self.converge({"exists": there}, {"exists": False}, lambda _changes: self._remove(path))

    def describe(self, key: str, old: Any, new: Any) -> str:
        if key == "exists":
            return "created" if new else "deleted"
        return super().describe(key, old, new)

    def _make(self, path: str, changes: Changes) -> None:
        if "exists" in changes:
            if self.resource.recursive and os.path.dirname(path):
                os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            os.mkdir(path, 0o755 if self.resource.mode is None else self.resource.mode)
            self.resource.updated()
        set_owner_and_mode(path, {key: new for key, (_old, new) in changes.items()})

    def _remove(self, path: str) -> None:
        if not self.resource.recursive:
            os.rmdir(path)
            return
        from shutil import rmtree

        rmtree(path)


class LinkProvider(Provider):
    tells_the_future = True

    def action_create(self) -> None:
        resource = self.resource
        target = str(resource.to)
        self.converge({"to": self._target(resource.path)}, {"to": target}, lambda _changes: self._replace(target))

    def action_delete(self) -> None:
        path = self.resource.path
        if os.path.lexists(path) and not os.path.islink(path) and not self.resource.hard:
            raise Fail(f"{path} is there and is no link")
        there = {"exists": os.path.lexists(path)}
        self.converge(there, {"exists": False}, lambda _changes: os.unlink(path))

    def describe(self, key: str, old: Any, new: Any) -> str:
        if key == "exists":
            return "deleted"
        return f"created -> {new}" if old is None else f"to {old} -> {new}"

    def _target(self, path: str) -> Optional[str]:
        if not os.path.lexists(path):
            return None
        if self.resource.hard:
            same = os.path.exists(self.resource.to) and os.path.samefile(path, self.resource.to)
            return str(self.resource.to) if same else "another file"
        if not os.path.islink(path):
            raise Fail(f"{path} is there and is no link")
        return os.readlink(path)

    def _replace(self, target: str) -> None:
        path = self.resource.path
        temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.kokki")
        if os.path.lexists(temporary):
            os.unlink(temporary)
        (os.link if self.resource.hard else os.symlink)(target, temporary)
        os.replace(temporary, path)


def _is_known_to_be(checksum: Optional[str], current: State) -> bool:
    """Whether a file holds what has this sha256, so that nobody needs to make or fetch that."""
    if not current or checksum is None:
        return False
    from hashlib import sha256

    return sha256(current["content"]).hexdigest() == checksum


def _text(content: Optional[bytes]) -> str:
    return (content or b"").decode("utf-8", "replace")
