"""Declared resources go in; they are brought about one after the other, each told as an event, notifications kept."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from kokki.exceptions import Fail, Stopped
from kokki.pending import Pending
from kokki.providers import Provider, find_provider
from kokki.secrets import redact

STATES = ("ok", "changed", "failed", "skipped", "would-change", "unknown")
# An action that a freshly started service has no more need of.
MADE_NEEDLESS_BY_A_START = {"restart", "reload"}


class Run:
    """One run of an environment's resources.

    totals: state -> how many.  changes: counts what has changed so far, for whoever caches what they read.
    keeper: is told of a change before it is made (begin), where it concerns it; has it proven (settle) before anything
    else is done, or puts it back (undo).
    """

    def __init__(self, env: Any, emit: Callable[[Dict[str, Any]], None]) -> None:
        self.env = env
        self.listener = emit
        self.totals = dict.fromkeys(STATES, 0)
        self.changes = 0
        self.delayed: Dict[Tuple[str, Any], int] = {}
        self.started: Dict[Any, int] = {}
        self.pending: Optional[Pending] = None
        self.keeper: Any = None
        self.stop_reason = ""
        self._chain: List[Any] = []
        self._fired: Set[Tuple[str, Any]] = set()
        self._owed: Dict[Tuple[str, Any], int] = {}  # failed at the end of the run: the next run's
        self.failures: List[Fail] = []

    def emit(self, event: Dict[str, Any]) -> None:
        self.listener(redact(event))

    def everything(self) -> None:
        """Every resource, then what was delayed. Raises the first failure."""
        try:
            for resource in self.env.resource_list:  # grows when a recipe is included by a running one
                self._stop_if_asked(resource)
                if not self._concerns_keeper(resource):
                    self._prove()
                self.perform(resource, resource.action, guarded=True)
            self._prove()
            self._run_delayed()
            self._remember()  # also where all that was owed is not any more
            self._prove()
        except BaseException:
            if self.keeper is not None:
                self.keeper.undo()
            raise
        if self.failures:
            raise self.failures[0]

    def about_to_change(self, resource: Any) -> None:
        """Called before anything of the server is changed for a resource."""
        if self._concerns_keeper(resource):
            self.keeper.begin()

    def _concerns_keeper(self, resource: Any) -> bool:
        return self.keeper is not None and bool(self.keeper.concerns(resource))

    def _prove(self) -> None:
        """Have what concerns the keeper take effect and proven, before anything else follows."""
        if self.keeper is None or not self.keeper.changed:
            return
        for action, resource in self._in_order(self.delayed):
            if self.keeper.concerns(resource):
                self._perform_delayed(action, resource)
                self.delayed.pop((action, resource))
                self._remember()
        self.keeper.settle()

    def perform(self, resource: Any, actions: Sequence[str], *, guarded: bool = False) -> None:
        """Do the actions on a resource, tell what came of it and notify who asked for it."""
        begun = time.perf_counter()
        self.emit({"event": "resource-begun", **_named(resource)})
        updated_before, resource.is_updated = resource.is_updated, False
        outcome = Outcome(self.env.dry_run)
        try:
            self._act(resource, actions, guarded, outcome)
        except Exception as error:  # whatever a provider or a guard raises is this resource's failure
            outcome.error = _as_fail(error)
        changed = outcome.changed = resource.is_updated
        resource.is_updated = changed or updated_before
        self.changes += changed
        self._tell(resource, actions, outcome, (time.perf_counter() - begun) * 1000)
        if outcome.error is not None and not resource.ignore_failures:
            raise outcome.error
        if changed or outcome.state == "would-change":
            self._notify(resource)

    @contextmanager
    def owing(self, resource: Any) -> Iterator[None]:
        """Write down whom a change of resource will notify before it is made; see Environment.announced."""
        owed = resource.subscriptions["immediate"] | resource.subscriptions["delayed"]
        if self.pending is None or not owed:
            yield
            return
        self.pending.save({**self._owed, **self.delayed, **dict.fromkeys(owed, 0)})
        try:
            yield
        except Fail:
            if not resource.is_updated:
                self._remember()
            raise

    def recall(self) -> None:
        """Take over what an earlier run that did not end has left to do."""
        for action, resource in self.pending.load(self.env) if self.pending is not None else []:
            self.delayed[action, resource] = self.changes

    def _act(self, resource: Any, actions: Sequence[str], guarded: bool, outcome: Outcome) -> None:
        make = find_provider(self.env, type(resource).__name__, resource.provider)
        if list(actions) == ["nothing"] and make.action_nothing is Provider.action_nothing:
            return  # it waits to be notified: its guards are asked then
        if guarded and self._decided_later(resource):
            outcome.unknown = "its guard looks at what earlier resources would change; would be decided then"
            return
        if guarded and not _wanted(resource):
            outcome.skipped = True
            return
        outcome.provider = make(resource)
        self._call(outcome.provider, actions, outcome)

    def _call(self, provider: Any, actions: Sequence[str], outcome: Outcome) -> None:
        for action in actions:
            method = getattr(provider, f"action_{action}", None)
            if method is None:
                raise Fail(f"{provider} does not implement action {action}")
            if self.env.dry_run and not provider.tells_the_future and action != "nothing":
                outcome.unknown = f"{type(provider).__name__} can't say beforehand; would be decided then"
            else:
                method()

    def _decided_later(self, resource: Any) -> bool:
        if resource.not_if is None and resource.only_if is None:
            return False
        return self.env.dry_run and self.uncertain

    @property
    def uncertain(self) -> bool:
        """In a dry run: whether an earlier resource would have changed the server by now."""
        return bool(self.totals["would-change"] or self.totals["unknown"])

    def _tell(self, resource: Any, actions: Sequence[str], outcome: Outcome, milliseconds: float) -> None:
        self.totals[outcome.state] += 1
        event = {"event": "resource-done", **_named(resource), "action": ", ".join(actions), "state": outcome.state}
        event.update(changes=outcome.changes, diff=outcome.diff, ms=round(milliseconds, 2))
        if outcome.error is not None:
            event["error"] = outcome.error.as_event()
            outcome.error.told = True
            if resource.ignore_failures:
                event["ignored"] = True
        self.emit(event)

    def _notify(self, resource: Any) -> None:
        subscriptions = resource.subscriptions
        if not (subscriptions["immediate"] or subscriptions["delayed"]):
            return
        for action, target in self._in_order(subscriptions["delayed"]):
            self._tell_notification(resource, action, target, "delayed")
            if (action, target) not in self._fired:
                self.delayed[action, target] = self.changes
        if subscriptions["immediate"]:
            self._notify_now(resource)
        self._remember()

    def _notify_now(self, resource: Any) -> None:
        if resource in self._chain:
            circle = " -> ".join(str(link) for link in [*self._chain, resource])
            raise Fail(f"Immediate notifications go round in a circle: {circle}")
        self._chain.append(resource)
        try:
            for action, target in self._in_order(resource.subscriptions["immediate"]):
                self._tell_notification(resource, action, target, "immediate")
                self.perform(target, [action], guarded=True)
        finally:
            self._chain.pop()

    def _tell_notification(self, resource: Any, action: str, target: Any, when: str) -> None:
        told = {"from": str(resource), "to": str(target), "action": action, "when": when}
        self.emit({"event": "notification", **told})

    def _run_delayed(self) -> None:
        """All of them, each once, also when one fails: they have nothing to do with each other."""
        while self.delayed:
            action, resource = self._in_order(self.delayed)[0]
            self._stop_if_asked(resource)
            try:
                self._perform_delayed(action, resource)
            except Fail as error:
                self.failures.append(error)
                self._owed[action, resource] = 0
            self._fired.add((action, resource))
            self.delayed.pop((action, resource))
            self._remember()

    def _perform_delayed(self, action: str, resource: Any) -> None:
        started, asked = self.started.get(resource, -1), self.delayed[action, resource]
        if action in MADE_NEEDLESS_BY_A_START and started >= asked:
            outcome = Outcome(self.env.dry_run)
            outcome.skipped = True
            self._tell(resource, [action], outcome, 0)
        else:
            self.perform(resource, [action], guarded=True)

    def _remember(self) -> None:
        if self.pending is not None and not self.env.dry_run:
            self.pending.save({**self._owed, **self.delayed})

    def _in_order(self, pairs: Any) -> List[Tuple[str, Any]]:
        """By the targets' declaration, then in the order in which the type lists its actions."""
        position = {id(resource): number for number, resource in enumerate(self.env.resource_list)}
        return sorted(pairs, key=lambda pair: (position.get(id(pair[1]), -1), _rank(pair[1], pair[0])))

    def _stop_if_asked(self, resource: Any) -> None:
        if self.stop_reason:
            raise Stopped(f"{self.stop_reason}; stopped before {resource}")


class Outcome:
    """What came of performing actions on one resource."""

    def __init__(self, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.provider: Optional[Provider] = None
        self.error: Optional[Fail] = None
        self.changed = False
        self.skipped = False
        self.unknown = ""

    @property
    def state(self) -> str:
        if self.error is not None:
            return "failed"
        if self.skipped:
            return "skipped"
        if self.unknown or (self.provider is not None and getattr(self.provider, "unknown", "")):
            return "unknown"
        if self.dry_run:
            return "would-change" if self.changes else "ok"
        return "changed" if self.changed else "ok"

    @property
    def changes(self) -> List[str]:
        if self.error is not None and not self.changed:
            return []  # what was to change has not
        found = list(getattr(self.provider, "changes", []))
        unknown = self.unknown or getattr(self.provider, "unknown", "")
        return [*found, unknown] if unknown else found

    @property
    def diff(self) -> str:
        return getattr(self.provider, "diff", "")


def _wanted(resource: Any) -> bool:
    if resource.not_if is not None and _holds(resource, "not_if"):
        return False
    return resource.only_if is None or _holds(resource, "only_if")


def _holds(resource: Any, guard: str) -> bool:
    condition = getattr(resource, guard)
    if callable(condition):
        return bool(condition())
    if isinstance(condition, str):
        from kokki import process

        return process.condition(condition)
    if isinstance(condition, bool):
        return condition
    raise Fail(f"{resource}: {guard} is a shell command or a callable, not {condition!r}")


def _as_fail(error: Exception) -> Fail:
    if isinstance(error, Fail):
        return error
    if isinstance(error, OSError) and error.strerror:
        about = f"{error.filename}: " if error.filename else ""
        return Fail(f"{about}{error.strerror}")
    from kokki.explain import place

    where = place(error)
    return Fail(f"{type(error).__name__}: {error}" + (f" (at {where.where})" if where is not None else ""))


def _named(resource: Any) -> Dict[str, Any]:
    return {"type": type(resource).__name__, "name": str(resource.name), "source": resource.source}


def _rank(resource: Any, action: str) -> int:
    actions = resource.actions
    return actions.index(action) if action in actions else len(actions)
