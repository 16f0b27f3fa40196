"""Phases of a run in, step events and totals out."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Sequence

from release.values import Failure

Emit = Callable[[Dict[str, Any]], None]
STATES = ("ok", "changed", "failed", "skipped", "would-change", "unknown")


@dataclass
class Step:
    """What a phase has to say when it ends: nothing was to do ("ok") unless it says otherwise."""

    state: str = "ok"
    detail: str = ""

    def changed(self, detail: str = "") -> None:
        self.state, self.detail = "changed", detail

    def skipped(self, detail: str) -> None:
        self.state, self.detail = "skipped", detail


class Steps:
    """Tells each phase of one run as it begins and ends, and counts."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.hide: Sequence[str] = ()
        self.began = time.monotonic()
        self.totals = dict.fromkeys(STATES, 0)

    def emit(self, event: Dict[str, Any]) -> None:
        """Send an event, without the secrets."""
        self._emit({key: self._hidden(value) for key, value in event.items()})

    def hidden(self, text: str) -> str:
        """The text with every secret (`hide`) cut out."""
        for secret in self.hide:
            text = text.replace(secret, "********")
        return text

    def _hidden(self, value: object) -> object:
        if isinstance(value, str):
            return self.hidden(value)
        if isinstance(value, dict):
            return {key: self._hidden(item) for key, item in value.items()}
        return [self._hidden(item) for item in value] if isinstance(value, (list, tuple)) else value

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """One phase. An OSError (disk full, no permission) becomes a Failure of the phase."""
        began = time.monotonic()
        self.emit({"event": "step-begun", "step": name})
        step = Step()
        try:
            yield step
        except OSError as error:
            failure = Failure.of(error, f"{name} failed")
            self._done(name, Step("failed"), began, failure)
            raise failure from None
        except Failure as failure:
            self._done(name, Step("failed", step.detail), began, failure)
            raise
        self._done(name, step, began)

    def _done(self, name: str, step: Step, began: float, failure: Optional[Failure] = None) -> None:
        self.totals[step.state] += 1
        event: Dict[str, Any] = {
            "event": "step-done",
            "step": name,
            "state": step.state,
            "ms": _ms(began),
            "detail": step.detail,
        }
        self.emit({**event, "error": failure.error()} if failure else event)

    def failure(self, failure: Failure) -> None:
        """Tell why the run can't go on."""
        self.emit(
            {
                "event": "failure",
                "what": failure.what,
                "where": failure.where,
                "source_line": "",
                "why": failure.why,
                "hint": failure.hint,
                "output": failure.output,
            }
        )

    def done(self, state: str, result: Mapping[str, Any]) -> None:
        self.emit(
            {
                "event": "run-done",
                "state": state,
                "totals": self.totals,
                "ms": _ms(self.began),
                "result": dict(result),
            }
        )


def _ms(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)
