"""Names and the work for one in, every outcome out: all are tried at once, and one failure stops no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from deploymachine.errors import CloudError, DeployMachineError

Result = TypeVar("Result")
AT_ONCE = 16  # more calls in flight than that makes most clouds answer "too many requests"


class StoppedError(DeployMachineError):
    """Ctrl-C was pressed: what is under way ends at the next step."""


@dataclass(frozen=True)
class Clock:
    """How long one server may take; its sleep ends early when the run is stopped."""

    stop: threading.Event
    deadline: float

    def expired(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self.deadline

    def sleep(self, seconds: float) -> None:
        """Wait. Raises StoppedError as soon as the run is stopped."""
        if self.stop.wait(min(seconds, max(0.0, self.deadline - time.monotonic()))):
            raise StoppedError("stopped")

    def check(self) -> None:
        """Raises StoppedError when the run is stopped."""
        self.sleep(0)


@dataclass
class Outcomes(Generic[Result]):
    """What came of each name: a result or an error."""

    results: dict[str, Result] = field(default_factory=dict)
    errors: dict[str, DeployMachineError] = field(default_factory=dict)


def on_each(names: Sequence[str], work: Callable[[str, Clock], Result], seconds: float) -> Outcomes[Result]:
    """Run work(name, clock) for every name in parallel, each within `seconds`; Ctrl-C stops all of them soon."""
    stop = threading.Event()
    outcomes: Outcomes[Result] = Outcomes()
    if not names:
        return outcomes
    with ThreadPoolExecutor(min(len(names), AT_ONCE)) as pool:
        futures = {
            name: pool.submit(lambda n: work(n, Clock(stop, time.monotonic() + seconds)), name) for name in names
        }
        try:
            for name, future in futures.items():
                try:
                    outcomes.results[name] = future.result()
                except DeployMachineError as error:
                    outcomes.errors[name] = error
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


def raise_failures(what: str, total: int, errors: Mapping[str, DeployMachineError]) -> None:
    """Nothing when there are no errors; a single one as it is; more as one CloudError that shows each."""
    if len(errors) == 1 and total == 1:
        raise next(iter(errors.values()))
    if errors:
        raise CloudError(
            f"{len(errors)} of {total} servers {what}: {', '.join(sorted(errors))}",
            hint="run the same command again: what is there is kept, the rest is tried again",
            evidence=[line for name in sorted(errors) for line in f"{name}: {errors[name]}".splitlines()],
        )
