"""A release that is built everywhere in, every server serving it out: few before many; or, where one fails, none.

Each batch: the balancers send its visitors elsewhere, the servers switch and prove that they answer, they come back.
Where a server fails, or is gone, those that were switched go back to what they served before.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deploymachine import ssh
from deploymachine.batches import batches
from deploymachine.converge import Result
from deploymachine.errors import ConnectError, DeployMachineError, SeveralErrors
from deploymachine.inventory import Server
from deploymachine.releases.job import explained
from deploymachine.releases.locks import Held
from deploymachine.releases.values import live, serves

AGAIN = 0.5  # seconds
GRACE = 15.0  # seconds beyond the health check's, for a run that was cut off to come to its end on the server


@dataclass
class Switch:
    """One way to a release. action: switch or rollback. more: what that needs. stay: told where it fails.

    go_on: leave servers out that can't be reached any more; they are in `left_out` then.
    """

    run: Held
    name: str
    action: str
    more: dict[str, Any]
    stay: Sequence[str] = ()
    go_on: bool = False
    done: list[Server] = field(default_factory=list)
    left_out: list[DeployMachineError] = field(default_factory=list)

    def go(self, sizes: Sequence[int | str]) -> None:
        """Switch all servers. Raises ReleaseError after those that were switched have been put back."""
        job = self.run.job
        try:
            for batch in batches(job.servers, sizes):
                self._batch(batch)
        finally:
            job.balancers.back()
            self.run.notes += job.balancers.notes
        if self.left_out and not self.done:
            raise explained(SeveralErrors(self.left_out), f"{job.site} was not released: no server is left", [])

    def raise_left_out(self) -> None:
        """Raise ReleaseError where a server was left out; the others serve the release by now."""
        if self.left_out:
            what = f"{self.run.job.site} {self.name} is released, but not everywhere"
            told = explained(SeveralErrors(self.left_out), what, [])
            told.hint = "deploy again when they are back; till then they may serve what they served before"
            raise told

    def _batch(self, batch: list[Server]) -> None:
        job, states = self.run.job, self.run.states
        waiting = [server for server in batch if not serves(states[server.name], self.name)]
        job.balancers.send_away_from([server for server in waiting if live(states[server.name])])
        self.run.switched.update(server.name for server in waiting)
        try:
            outcomes = ssh.on_each(waiting, lambda server: job.attempt(server, self.action, **self.more))
        except KeyboardInterrupt:
            self._put_back([*self.done, *waiting])
            raise
        failed = [(one.server, one.value, error) for one in outcomes if (error := _error(one)) is not None]
        self.done += [one.server for one in outcomes if one.value is not None and _changed(one.value)]
        gone = [error for _, result, error in failed if result is None and isinstance(error, ConnectError)]
        if failed and not (self.go_on and len(gone) == len(failed)):
            raise self._failed(failed)
        self.left_out += gone

    def _failed(self, failed: Sequence[tuple[Server, Result | None, DeployMachineError]]) -> DeployMachineError:
        told = [self._went_back(server, result) for server, result, _ in failed if result is not None]
        unsure = [server for server, result, _ in failed if result is None]
        told += self._put_back([*self.done, *unsure])
        names = ", ".join(server.name for server, _, _ in failed)
        one = "does" if len(failed) == 1 else "do"
        what = f"{self.run.job.site} was not released: {names} {one} not serve {self.name}"
        errors = [error for _, _, error in failed]
        first = explained(errors[0], what, [])
        others = [line for error in errors[1:] for line in str(error).splitlines()]
        first.evidence = (*first.evidence, *others, *told, *self.stay)
        return first

    def _went_back(self, server: Server, result: Result) -> str:
        """What a server that refused did by itself."""
        before = result.result.get("put_back") or live(self.run.states[server.name])
        if not before:
            return f"{server.name}: serves nothing, as before"
        if result.result.get("put_back_healthy", True):
            return f"{server.name}: went back to {before}"
        return f"{server.name}: went back to {before}, and does NOT answer: {result.result.get('put_back_why', '')}"

    def _put_back(self, servers: Sequence[Server]) -> list[str]:
        """Bring servers back to what they served before, all at once; one line on each."""
        outcomes = ssh.on_each(servers, self._put_one_back)
        return [outcome.value or f"{outcome.server.name}: {outcome.error}" for outcome in outcomes]

    def _put_one_back(self, server: Server) -> str:
        job, before = self.run.job, live(self.run.states[server.name])
        if not before:
            return f"{server.name}: serves the new release, there was none before"
        deadline = time.monotonic() + float(job.attributes(server).get("health_timeout") or 30) + GRACE
        while True:
            result, why = self._try_back(server, before)
            if result is not None and result.ok:
                return f"{server.name}: put back to {before}"
            busy = result is not None and "Two releases" in str(result.error)  # the run that was cut off still ends
            if not busy or time.monotonic() > deadline:
                mend = f"; `fab {server.type} deploy` when it is back has it serve what all do"
                again = "" if result is not None else mend
                return f"{server.name}: could NOT be put back to {before}: {why}{again}"
            time.sleep(AGAIN)

    def _try_back(self, server: Server, before: str) -> tuple[Result | None, str]:
        job, result, why = self.run.job, None, ""
        for _ in range(2):  # a connection that was cut is noticed by the first
            try:
                result = job.attempt(server, "rollback", to=before, word="put back")
            except ConnectError as error:
                why = error.why or error.what
                continue
            return result, (result.error.why or result.error.what) if result.error else ""
        return None, why


def _error(outcome: ssh.Outcome[Result]) -> DeployMachineError | None:
    return outcome.error or (outcome.value.error if outcome.value is not None else None)


def _changed(result: Result) -> bool:
    return result.error is None and bool(result.result.get("changed"))
