"""A request goes in, the server is brought to its recipes' state, events come out, the exit code says how it went."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Callable, Dict, Iterator, Mapping

from kokki import apt
from kokki.environment import Kitchen
from kokki.lastcook import remember
from kokki.lock import only_one
from kokki.paths import lock_path, state_path
from kokki.pending import Pending
from kokki.secrets import redact, reveal

OK, ERROR, CHANGES_PENDING = 0, 1, 2
VERSION = 1
BUNDLE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

Emit = Callable[[Dict[str, Any]], None]


def cook(request: Mapping[str, Any], emit: Emit, keeper: Any = None) -> int:
    """Carry out a "cook" request. Gives 0: fine, 2: a dry run that found changes, 1: an error."""
    return bring_about(lambda kitchen: _fill(kitchen, request), emit, request, keeper)


def bring_about(fill: Callable[[Kitchen], None], emit: Emit, request: Mapping[str, Any], keeper: Any = None) -> int:
    """Run what fill puts into a kitchen, alone on this server. Of the request: host, roles, dry_run, lock_wait.

    keeper: has changes of some resources proven before others are made; see engine.Run.
    """
    begun = time.perf_counter()
    kitchen = Kitchen(dry_run=bool(request.get("dry_run")))
    outlet = Outlet(emit, kitchen)
    kitchen.runner.listener = outlet
    kitchen.keeps_state = True
    kitchen.runner.keeper = None if kitchen.dry_run else keeper
    try:
        with outlet.signals(), only_one(lock_path(), float(request.get("lock_wait", 60)), outlet.waiting):
            fill(kitchen)
            kitchen.declare()
            outlet(_begun(kitchen, request))
            _run(kitchen)
        state = "pending" if _wants_changes(kitchen) else "ok"
    except Exception as error:  # the user is told what happened, never shown a traceback
        if not getattr(error, "told", False):
            from kokki.explain import failure

            outlet(redact(failure(error)))
        state = "failed"
    remember(request, state, kitchen.runner.totals, os.path.basename(BUNDLE))
    milliseconds = round((time.perf_counter() - begun) * 1000, 1)
    outlet({"event": "run-done", "state": state, "totals": kitchen.runner.totals, "ms": milliseconds, "result": {}})
    return {"ok": OK, "pending": CHANGES_PENDING, "failed": ERROR}[state]


class Outlet:
    """Where events go; when nobody listens any more, or a signal asks for it, the run is to end at the next step."""

    def __init__(self, emit: Emit, kitchen: Kitchen) -> None:
        self.emit = emit
        self.kitchen = kitchen
        self.closed = False

    def __call__(self, event: Dict[str, Any]) -> None:
        if self.closed:
            return
        try:
            self.emit(event)
        except (OSError, ValueError):
            self.closed = True
            self.stop("the connection was closed")

    def stop(self, reason: str) -> None:
        self.kitchen.runner.stop_reason = self.kitchen.runner.stop_reason or reason

    def waiting(self, holder: str) -> None:
        self({"event": "step-begun", "step": "lock", "detail": f"waiting for {holder}"})

    @contextmanager
    def signals(self) -> Iterator[None]:
        """SIGTERM, SIGHUP and SIGINT end the run between two resources instead of in the middle of one."""
        with ExitStack() as stack:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                with suppress(ValueError):  # signals are for a main thread only
                    stack.callback(signal.signal, number, signal.signal(number, self._asked_to_stop))
            yield

    def _asked_to_stop(self, number: int, _frame: Any) -> None:
        self.stop(f"{signal.Signals(number).name} received")


def _fill(kitchen: Kitchen, request: Mapping[str, Any]) -> None:
    kitchen.add_cookbook_path(*(os.path.join(BUNDLE, path) for path in request.get("cookbook_paths", ["cookbooks"])))
    kitchen.update_config(reveal(dict(request.get("attributes", {}))))
    kitchen.include_recipe(*request.get("recipes", []))


def _begun(kitchen: Kitchen, request: Mapping[str, Any]) -> Dict[str, Any]:
    return {
        "event": "run-begun",
        "version": VERSION,
        "host": request.get("host") or kitchen.system.hostname,
        "roles": list(request.get("roles", [])),
        "count": len(kitchen.resource_list),
        "dry_run": kitchen.dry_run,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _run(kitchen: Kitchen) -> None:
    if kitchen.runner.keeper is not None:
        kitchen.runner.keeper.recover()
    kitchen.runner.pending = Pending(state_path("pending.json"))
    kitchen.runner.recall()
    if not kitchen.dry_run:
        apt.release_services()
    kitchen.run()


def _wants_changes(kitchen: Kitchen) -> bool:
    totals = kitchen.runner.totals
    return kitchen.dry_run and bool(totals["would-change"] or totals["unknown"])
