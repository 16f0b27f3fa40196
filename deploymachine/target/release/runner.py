"""A request in, the chosen action done as the site's user, its events and an exit code out.

request: "action" and "site", and what the action needs besides. A run of several requests begins with `begin`, which
takes the site's lock ("lock": its JSON), names that lock ("lock_id") in all that follow, and lets go of it by `end`.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, Mapping, Optional

from release import audit, daily, layout, lock, migrations, preflight, state, wheels
from release.account import Account
from release.build import build
from release.steps import Emit, Steps
from release.switch import Order, rollback, switch
from release.tools import Tools, read_environment, secrets, with_site
from release.values import Failure, Release, Site

Result = Dict[str, Any]
Request = Mapping[str, Any]
STEPS = {"begin": 3, "build": 8, "switch": 3, "rollback": 3, "end": 2}  # how many an action has; the others have one
AUDIT_LINES = 50


class Run:
    """One request about one site."""

    def __init__(
        self, request: Request, site: Site, account: Account, steps: Steps, bundle: Optional[BinaryIO]
    ) -> None:
        self.request = request
        self.site = site
        self.steps = steps
        self.bundle = bundle
        self.tools = Tools.of(site, account)
        timeout = float(request.get("timeout") or site.health_timeout)
        words = {name: str(request.get(name) or "") for name in ("by", "message", "word")}
        self.order = Order(site, account, timeout, self.tools, request["action"] == "rollback", **words)

    def begin(self) -> Result:
        with self.steps.step("lock") as step:
            dead = lock.take(self.site, self.request["lock"], str(self.request.get("instead_of") or ""))
            step.detail = f"instead of {dead['owner']}, who is gone" if dead else ""
        try:
            return {**preflight.machine(self.order, self.steps), **self.state(), "instead_of": dead}
        except BaseException:
            lock.drop(self.site, self.request["lock"]["id"])
            raise

    def end(self) -> Result:
        if self.request.get("ended"):
            audit.ended(self.site, self.request["ended"])
        try:
            return self.prune() if self.request.get("keep") else {"changed": False}
        finally:
            with self.steps.step("unlock"):
                lock.drop(self.site, str(self.request["lock_id"]))

    def lock(self) -> Result:
        with self.steps.step("lock"):
            return {"instead_of": lock.take(self.site, self.request["lock"]), "changed": True}

    def unlock(self) -> Result:
        with self.steps.step("unlock"):
            return {"lock": lock.drop(self.site, str(self.request.get("which") or ""))}

    def beat(self) -> Result:
        lock.beat(self.site, str(self.request["lock_id"]))
        return {}

    def audit(self) -> Result:
        return audit.entries(self.site, int(self.request.get("count") or AUDIT_LINES), self.steps)

    def state(self) -> Result:
        with self.steps.step("state"):
            return {**state.state(self.order, self.tools), "lock": lock.told(self.site)}

    def build(self) -> Result:
        release = Release.read(self.request["release"])
        return build(self.site, self.tools, release, self.request.get("source") or {}, self.bundle, self.steps)

    def migrate(self) -> Result:
        name = self._name()
        inside = with_site(self.tools, self.site, self.site.venvs / layout.ready(self.site, name).venv)
        release = Release.read(self.request["release"])
        timeout = self.request.get("timeout") or self.site.migrate_timeout
        return migrations.run(self.site, inside, release, timeout, self.steps)

    def adopt(self) -> Result:
        return daily.adopt(self.order, self._name(), self.steps)

    def code(self) -> Result:
        return daily.code(self.site, self.tools, int(self.request.get("count") or 0), self.steps)

    def wheel(self) -> Result:
        return wheels.read(self.site, str(self.request["wheel"]))

    def add_wheels(self) -> Result:
        if self.bundle is None:
            raise Failure("No wheels were sent")
        return wheels.add(self.site, self.bundle)

    def pip(self) -> Result:
        return daily.pip(self.site, self.tools, list(self.request["words"]), self.steps)

    def audit_packages(self) -> Result:
        return daily.audit(self.site, self.tools, self.steps)

    def virtualenv(self) -> Result:
        return daily.virtualenv_of_live(self.site, self.tools, self.steps, anew=bool(self.request.get("anew")))

    def prune_virtualenvs(self) -> Result:
        return state.prune_venvs(self.order, self.steps)

    def switch(self) -> Result:
        return switch(self.order, self._name(), self.steps)

    def rollback(self) -> Result:
        return rollback(self.order, self.request.get("to"), self.steps)

    def prune(self) -> Result:
        return state.prune(self.order, self.tools, int(self.request.get("keep") or state.KEEP), self.steps)

    def _name(self) -> str:
        return Release.read(self.request["release"]).name


ACTIONS: Mapping[str, Callable[[Run], Result]] = {
    "begin": Run.begin,
    "state": Run.state,
    "build": Run.build,
    "migrate": Run.migrate,
    "switch": Run.switch,
    "rollback": Run.rollback,
    "prune": Run.prune,
    "adopt": Run.adopt,
    "code": Run.code,
    "wheel": Run.wheel,
    "add_wheels": Run.add_wheels,
    "pip": Run.pip,
    "audit_packages": Run.audit_packages,
    "virtualenv": Run.virtualenv,
    "prune_virtualenvs": Run.prune_virtualenvs,
    "end": Run.end,
    "beat": Run.beat,
    "lock": Run.lock,
    "unlock": Run.unlock,
    "audit": Run.audit,
}
# One of these at a time.
CHANGING = frozenset(
    {"build", "migrate", "switch", "rollback", "prune", "adopt", "pip", "virtualenv", "prune_virtualenvs"}
)


def main(request: Request, emit: Emit) -> int:
    """Do what request["action"] says. Returns 0, or 1 after a failure event that tells why."""
    steps = Steps(emit)
    emit(_begun(request))
    try:
        result = _act(request, steps)
    except (Failure, OSError) as error:
        failure = error if isinstance(error, Failure) else Failure.of(error)
        steps.failure(failure)
        steps.done("failed", failure.result)
        return 1
    steps.done("ok", result)
    return 0


def _act(request: Request, steps: Steps) -> Result:
    action = ACTIONS.get(request.get("action", ""))
    if action is None:
        raise Failure(f"There is no action {request.get('action')!r}", why=f"the actions are {', '.join(ACTIONS)}")
    site = Site.read(request["site"])
    account = Account.named(site.user)
    with ExitStack() as stack:
        bundle = stack.enter_context(Path(request["attachment"]).open("rb")) if request.get("attachment") else None
        stack.enter_context(account.acting())
        if request["action"] in CHANGING:
            stack.enter_context(lock.acting(site))
            if request.get("lock_id"):
                lock.beat(site, str(request["lock_id"]))
        steps.hide = secrets(read_environment(site.root / "shared" / "env"))
        return action(Run(request, site, account, steps, bundle))


def _begun(request: Request) -> Dict[str, Any]:
    return {
        "event": "run-begun",
        "version": 1,
        "host": request.get("host", ""),
        "roles": [],
        "count": STEPS.get(request.get("action", ""), 1),
        "dry_run": False,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
