"""User and Group: who there shall be on the server."""

from __future__ import annotations

from typing import Any, ClassVar, Dict, List, Optional

from kokki import accounts, process
from kokki.base import BooleanArgument, ForcedListArgument, Resource, ResourceArgument
from kokki.exceptions import Fail
from kokki.providers import Changes, Provider, State

__all__ = ["Group", "User"]

ACTIONS = ["create", "remove", "modify", "manage", "lock", "unlock"]


class User(Resource):
    """gid: primary group, name or number.  groups: exactly these supplementary groups (append: at least these).

    password: a crypt hash.  home: made for people (not for system users) when the user is made.
    """

    action = ForcedListArgument(default="create")
    username = ResourceArgument(default=lambda resource: resource.name)
    comment = ResourceArgument()
    uid = ResourceArgument()
    gid = ResourceArgument()
    groups = ForcedListArgument()
    append = BooleanArgument(default=False)
    home = ResourceArgument()
    shell = ResourceArgument(default="/bin/bash")
    password = ResourceArgument()
    system = BooleanArgument(default=False)

    actions: ClassVar[List[str]] = [*Resource.actions, *ACTIONS]


class Group(Resource):
    """members: exactly these users (append: at least these).  password: a crypt hash."""

    action = ForcedListArgument(default="create")
    group_name = ResourceArgument(default=lambda resource: resource.name)
    gid = ResourceArgument()
    members = ForcedListArgument()
    append = BooleanArgument(default=False)
    password = ResourceArgument()
    system = BooleanArgument(default=False)

    actions: ClassVar[List[str]] = [*Resource.actions, *ACTIONS]


class AccountProvider(Provider):
    """What users and groups have in common: made, changed, removed, locked by shadow's tools."""

    tells_the_future = True
    kind = ""

    def action_create(self) -> None:
        self.converge(self.current(), self.desired(), self.apply)

    def action_manage(self) -> None:
        if self.current():
            self.action_create()

    def action_modify(self) -> None:
        if not self.current():
            raise Fail(f"There is no {self.kind} {self.name} to modify")
        self.action_create()

    def action_remove(self) -> None:
        there = bool(self.current())
        self.converge({"exists": there}, {"exists": False}, lambda _changes: self._tool(f"{self.kind}del"))

    def action_lock(self) -> None:
        self._lock(True)

    def action_unlock(self) -> None:
        self._lock(False)

    def describe(self, key: str, old: Any, new: Any) -> str:
        if key == "exists":
            return "created" if new else "removed"
        if key == "password":
            return "password set"
        if key == "locked":
            return "locked" if new else "unlocked"
        if key == "gid" and self.kind == "user":
            old, new = (accounts.group_name(value) if isinstance(value, int) else value for value in (old, new))
        if isinstance(new, tuple):
            old, new = (",".join(value or ()) or "none" for value in (old, new))
        return super().describe(key, old, new)

    @property
    def name(self) -> str:
        raise NotImplementedError

    def current(self) -> State:
        raise NotImplementedError

    def desired(self) -> State:
        raise NotImplementedError

    def apply(self, changes: Changes) -> None:
        raise NotImplementedError

    def hash(self) -> Optional[str]:
        raise NotImplementedError

    def set_locked(self, locked: bool) -> None:
        raise NotImplementedError

    def _lock(self, locked: bool) -> None:
        now = (self.hash() or "").startswith("!")
        self.converge({"locked": now}, {"locked": locked}, lambda _changes: self.set_locked(locked))

    def _tool(self, tool: str, *arguments: str) -> None:
        process.check([tool, *arguments, self.name], f"{self.resource}: {tool} failed")

    def _set_password(self, tool: str) -> None:
        line = f"{self.name}:{self.resource.password}\n"
        process.check([tool, "-e"], f"{self.resource}: {tool} failed", stdin=line)


class UserProvider(AccountProvider):
    kind = "user"

    @property
    def name(self) -> str:
        return str(self.resource.username)

    def current(self) -> State:
        account = accounts.users().get(self.name)
        if account is None:
            return {}
        state: State = {"exists": True, "uid": account.uid, "gid": account.gid, "comment": account.comment}
        state.update(home=account.home, shell=account.shell, groups=self._groups())
        if self.resource.password is not None:
            state["password"] = self.hash()
        return state

    def desired(self) -> State:
        resource = self.resource
        uid = None if resource.uid is None else int(resource.uid)
        wanted = {"uid": uid, "gid": self._gid(), "comment": resource.comment, "home": resource.home}
        wanted.update(shell=resource.shell, password=resource.password)
        if resource.groups is not None:
            more = self._groups() if resource.append else ()
            wanted["groups"] = tuple(sorted({*resource.groups, *more}))
        return {"exists": True, **{key: value for key, value in wanted.items() if value is not None}}

    def apply(self, changes: Changes) -> None:
        options = self._options(changes)
        if "exists" in changes:
            self._tool("useradd", *self._creation(), *options)
        elif options:
            self._tool("usermod", *options)
        self.resource.updated()
        if "password" in changes:
            self._set_password("chpasswd")

    def hash(self) -> Optional[str]:
        return accounts.password_hash(self.name)

    def set_locked(self, locked: bool) -> None:
        self._tool("usermod", "-L" if locked else "-U")

    def _gid(self) -> Any:
        gid = self.resource.gid
        if gid is None:
            return None
        number = accounts.gid_of(gid)
        if number is None and not self.env.dry_run:
            raise Fail(f"There is no group {gid}", hint=f"declare Group({gid!r}) before {self.resource}")
        return gid if number is None else number

    def _groups(self) -> Any:
        """The user's supplementary groups, sorted."""
        return tuple(sorted(entry.name for entry in accounts.groups().values() if self.name in entry.members))

    def _options(self, changes: Changes) -> List[str]:
        flags = {"uid": "-u", "gid": "-g", "comment": "-c", "home": "-d", "shell": "-s", "groups": "-G"}
        words: List[str] = []
        for key, flag in flags.items():
            if key in changes:
                new = changes[key][1]
                words += [flag, ",".join(new) if isinstance(new, tuple) else str(new)]
        return words

    def _creation(self) -> List[str]:
        words = ["-r", "-M"] if self.resource.system else ["-m"]
        if self.resource.gid is None and self.name in accounts.groups():
            words += ["-g", self.name]  # useradd would refuse to make a group of that name again
        return words


class GroupProvider(AccountProvider):
    kind = "group"

    @property
    def name(self) -> str:
        return str(self.resource.group_name)

    def current(self) -> State:
        entry = accounts.groups().get(self.name)
        if entry is None:
            return {}
        state: State = {"exists": True, "gid": entry.gid, "members": tuple(sorted(entry.members))}
        if self.resource.password is not None:
            state["password"] = self.hash()
        return state

    def desired(self) -> State:
        resource = self.resource
        wanted: Dict[str, Any] = {"exists": True}
        if resource.gid is not None:
            wanted["gid"] = int(resource.gid)
        if resource.members is not None:
            more = self.current().get("members", ()) if resource.append else ()
            wanted["members"] = tuple(sorted({*resource.members, *more}))
        if resource.password is not None:
            wanted["password"] = resource.password
        return wanted

    def apply(self, changes: Changes) -> None:
        gid = ["-g", str(changes["gid"][1])] if "gid" in changes else []
        if "exists" in changes:
            self._tool("groupadd", *(["-r"] if self.resource.system else []), *gid)
        elif gid:
            self._tool("groupmod", *gid)
        self.resource.updated()
        if changes.get("members", ((), ()))[1] != (changes.get("members", ((), ()))[0] or ()):
            self._tool("gpasswd", "-M", ",".join(changes["members"][1]))
        if "password" in changes:
            self._set_password("chgpasswd")

    def hash(self) -> Optional[str]:
        return accounts.group_password_hash(self.name)

    def set_locked(self, locked: bool) -> None:
        plain = (self.hash() or "").lstrip("!")
        line = f"{self.name}:{'!' if locked else ''}{plain}\n"
        process.check(["chgpasswd", "-e"], f"{self.resource}: chgpasswd failed", stdin=line)
