"""Git: a checkout of a repository at a path, at the commit that a branch, tag or hash names."""

from __future__ import annotations

import os
import re
from typing import Any, ClassVar, Dict, List, Optional

from kokki import accounts, process
from kokki.base import ForcedListArgument, Resource, ResourceArgument
from kokki.exceptions import Fail
from kokki.providers import Provider
from kokki.writing import set_owner_and_mode

__all__ = ["Git"]

COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
# Nobody is there to type a password or to accept a host key.
NEVER_ASK = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}


class Git(Resource):
    """path (the name) holds what repository has at revision: a branch, a tag or a whole hash (which needs no network).

    sync: go along when revision moves.  checkout: leave what is there.  user, group: who owns it and runs git.
    Changed files in the checkout are never overwritten: git refuses, and the run says so.
    """

    action = ForcedListArgument(default="sync")
    path = ResourceArgument(default=lambda resource: resource.name)
    repository = ResourceArgument(required=True)
    revision = ResourceArgument(default="HEAD")
    user = ResourceArgument()
    group = ResourceArgument()
    environment = ResourceArgument(default=lambda _resource: {})

    actions: ClassVar[List[str]] = [*Resource.actions, "sync", "checkout"]


class GitProvider(Provider):
    tells_the_future = True

    def action_sync(self) -> None:
        if self.env.dry_run and self.env.runner.uncertain:
            self.unknown = "earlier resources may bring git or a key; would be decided then"
            return
        current, wanted = self._head(), self._wanted()
        self.converge({"revision": current}, {"revision": wanted}, lambda _changes: self._bring(wanted))

    def action_checkout(self) -> None:
        if self._head() is None:
            self.action_sync()

    def describe(self, key: str, old: Any, new: Any) -> str:
        return f"checked out {new[:12]}" if old is None else f"{key} {old[:12]} -> {new[:12]}"

    def _head(self) -> Optional[str]:
        """The commit that is checked out, read from .git/HEAD: no process for one that we left there."""
        try:
            with open(os.path.join(self.resource.path, ".git", "HEAD"), encoding="ascii") as head:
                text = head.read().strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if COMMIT.fullmatch(text):
            return text
        found = process.run(self._in_checkout("rev-parse", "--verify", "--quiet", "HEAD"), **self._options())
        return found.output.strip() if found.code == 0 else None

    def _wanted(self) -> str:
        revision = str(self.resource.revision)
        if COMMIT.fullmatch(revision):
            return revision
        told = self._git("ls-remote", "--", str(self.resource.repository)).output
        rows = (line.split("\t") for line in told.splitlines())
        refs: Dict[str, str] = {row[1]: row[0] for row in rows if len(row) == 2}
        names = (revision, f"refs/heads/{revision}", f"refs/tags/{revision}^{{}}", f"refs/tags/{revision}")
        found = next((refs[name] for name in names if name in refs), None)
        if found is None:
            raise Fail(f"{self.resource.repository} has no branch or tag {revision}")
        return found

    def _bring(self, commit: str) -> None:
        path, repository = str(self.resource.path), str(self.resource.repository)
        self._make(path)
        if not os.path.isdir(os.path.join(path, ".git")):
            self._git("init", "--quiet", "--", path)
        for key, value in (("url", repository), ("fetch", "+refs/heads/*:refs/remotes/origin/*")):
            self._git_inside("config", f"remote.origin.{key}", value)
        self._git_inside("fetch", "--quiet", "--force", "--tags", "origin")
        self._git_inside("checkout", "--quiet", "--detach", commit)

    def _make(self, path: str) -> None:
        if os.path.isdir(path):
            if os.listdir(path) and not os.path.isdir(os.path.join(path, ".git")):
                raise Fail(f"{path} is there, is not empty and is no checkout")
            return
        os.makedirs(path)
        owner, group = accounts.uid_of(self.resource.user), accounts.gid_of(self.resource.group)
        account = accounts.find_user(self.resource.user) if self.resource.user is not None else None
        if group is None and account is not None:
            group = account.gid
        wanted = {"owner": owner, "group": group}
        set_owner_and_mode(path, {key: value for key, value in wanted.items() if value is not None})

    def _options(self) -> Dict[str, Any]:
        resource = self.resource
        environment = {**NEVER_ASK, **resource.environment}
        return {"user": resource.user, "group": resource.group, "environment": environment, "cwd": "/"}

    def _in_checkout(self, *words: str) -> List[str]:
        return ["git", "-C", str(self.resource.path), *words]

    def _git_inside(self, *words: str) -> process.Completed:
        return process.check(self._in_checkout(*words), f"{self.resource}: git {words[0]} failed", **self._options())

    def _git(self, *words: str) -> process.Completed:
        return process.check(["git", *words], f"{self.resource}: git {words[0]} failed", **self._options())
