"""A request in, the chosen action done as the site's user, its events and an exit code out."""

from __future__ import annotations

import fcntl
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, Iterator, Mapping, Optional

from release import django, layout, state
from release.account import Account
from release.build import build
from release.steps import Emit, Steps
from release.switch import Order, rollback, switch
from release.tools import Tools, read_environment, secrets, with_site
from release.values import Failure, Release, Site

Result = Dict[str, Any]
Request = Mapping[str, Any]
STEPS = {"build": 8, "switch": 3, "rollback": 3}  # how many steps an action has; the others have one


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
        back = request["action"] == "rollback"
        self.order = Order(site, account, timeout, self.tools, back, str(request.get("by") or ""))

    def state(self) -> Result:
        with self.steps.step("state"):
            return state.state(self.order, self.tools)

    def build(self) -> Result:
        release = Release.read(self.request["release"])
        return build(self.site, self.tools, release, self.request.get("source") or {}, self.bundle, self.steps)

    def migrate(self) -> Result:
        name = self._name()
        inside = with_site(self.tools, self.site, self.site.venvs / layout.ready(self.site, name).venv)
        with self.steps.step("migrate") as step:
            pending = django.pending_migrations(self.site, inside, name)
            step.detail = f"{len(pending)} pending: {', '.join(pending)}" if pending else "nothing pending"
            if pending:
                django.migrate(self.site, inside, name, self.request.get("timeout"))
                step.changed(", ".join(pending))
        return {"applied": pending, "changed": bool(pending)}

    def switch(self) -> Result:
        return switch(self.order, self._name(), self.steps)

    def rollback(self) -> Result:
        return rollback(self.order, self.request.get("to"), self.steps)

    def prune(self) -> Result:
        return state.prune(self.order, self.tools, int(self.request.get("keep") or state.KEEP), self.steps)

    def _name(self) -> str:
        return Release.read(self.request["release"]).name


ACTIONS: Mapping[str, Callable[[Run], Result]] = {
    "state": Run.state,
    "build": Run.build,
    "migrate": Run.migrate,
    "switch": Run.switch,
    "rollback": Run.rollback,
    "prune": Run.prune,
}


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
        if request["action"] != "state":
            stack.enter_context(_locked(site))
        steps.hide = secrets(read_environment(site.root / "shared" / "env"))
        return action(Run(request, site, account, steps, bundle))


@contextmanager
def _locked(site: Site) -> Iterator[None]:
    """One change of a site at a time; the kernel lets go of a killed run's lock."""
    if not site.root.is_dir():
        raise Failure(f"{site.root} is not there", hint="cook the server first, then release")
    with (site.root / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            why = f"{site.name} is being released on this server by another run"
            raise Failure("Two releases at once", why=why, hint="wait for it to end, then deploy again") from None
        yield


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
