"""A job in, the same with the lock of its site on every server out; in the end the lock is let go of, come what may."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from deploymachine import ssh
from deploymachine.errors import ConnectError, ConvergeError, DeployMachineError, ReleaseError
from deploymachine.inventory import Server
from deploymachine.releases.job import Job
from deploymachine.releases.values import Options, State

BEAT = 15.0  # seconds; after four that were missed, the servers take us for dead
LOOK_AGAIN = 1.0
MOMENT = 10.0  # in which a run that came at the same time as this one lets go


@dataclass
class Held:
    """A job whose site is locked. states: what each server said of itself then. about: what it is, for the audit log.

    switched: servers whose own log tells of this run already. ending: what they are told in the end, besides.
    """

    job: Job
    states: dict[str, State]
    about: dict[str, str] = field(default_factory=dict)
    switched: set[str] = field(default_factory=set)
    ending: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@contextmanager
def held(job: Job, kind: str, options: Options) -> Iterator[Held]:
    """Lock the site on all servers. Raises ReleaseError where somebody who lives holds it; a dead one's is taken."""
    mine = replace(job, lock=uuid.uuid4().hex, message=options.message)
    lock = {"id": mine.lock, "owner": job.by, "pid": os.getpid(), "kind": kind, "message": options.message}
    run = Held(mine, {}, {"action": kind})
    try:
        _take_all(run, lock, options.wait)
        with _heart(mine):
            yield run
    except BaseException as error:
        told = {"state": "failed", "by": job.by, "why": _why(error), "message": options.message}
        run.ending["ended"] = {**run.about, **told}
        raise
    finally:
        _let_go(run)


def _take_all(run: Held, lock: Mapping[str, Any], wait: float) -> None:
    """Ask all servers at once.

    Of two runs that come at the same moment, the one that gets the first server waits for the others, one lets go.
    """
    deadline = time.monotonic() + wait
    patience = time.monotonic() + max(wait, MOMENT)
    waiting = list(run.job.servers)
    while refused := _take(run, waiting, lock):
        waiting = [server for server in run.job.servers if server.name not in run.states]
        is_behind = run.job.servers[0] in waiting
        if time.monotonic() >= (deadline if is_behind else patience):
            raise refused
        if is_behind:
            _let_go(run)
            run.states.clear()
            waiting = list(run.job.servers)
        time.sleep(LOOK_AGAIN)
    dead = sorted({str(s["instead_of"]["owner"]) for s in run.states.values() if s.get("instead_of")})
    run.notes += [f"the lock of {owner}, who is gone, was taken over" for owner in dead]
    if dead:
        run.job.balancers.back(anyway=True)


def _take(run: Held, servers: Sequence[Server], lock: Mapping[str, Any]) -> ReleaseError | None:
    """Take the lock on those that give it; `run.states` says which did. What the first of the others refuses with.

    Raises what else went wrong.
    """

    def one(server: Server) -> ConvergeError | None:
        result = run.job.attempt(server, "begin", lock=lock)
        there = result.result.get("lock") if result.error is not None else None
        if there is not None and is_gone(there, run.job.by):
            result = run.job.attempt(server, "begin", lock=lock, instead_of=there["id"])
        if result.error is None:
            run.states[server.name] = result.result
        elif result.result.get("lock") is None:
            raise result.error
        return result.error

    outcomes = ssh.on_each(servers, one)
    ssh.values(outcomes)
    error = next((outcome.value for outcome in outcomes if outcome.value is not None), None)
    return None if error is None else ReleaseError(error.what, where=error.where, why=error.why, hint=error.hint)


def is_gone(lock: Mapping[str, Any], me: str) -> bool:
    """Whether it is the lock of a process of this user on this machine that has ended."""
    if lock.get("owner") != me or lock.get("kind") == "manual" or not lock.get("pid"):
        return False
    try:
        os.kill(int(lock["pid"]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def _heart(job: Job) -> Iterator[None]:
    """Tell every server from time to time that this run lives; a thread each, since one may be gone without a word."""
    over = threading.Event()

    def beat(server: Server) -> None:
        while not over.wait(BEAT):
            with suppress(DeployMachineError):
                job.beat(server, job.request(server, "beat"))

    for server in job.servers:
        threading.Thread(target=beat, args=(server,), daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _let_go(run: Held) -> None:
    """A server that can't be told takes the lock for a dead one's in a minute."""
    taken = [server for server in run.job.servers if server.name in run.states]

    def end(server: Server) -> dict[str, Any]:
        more = {key: value for key, value in run.ending.items() if key != "ended" or server.name not in run.switched}
        try:
            return run.job.ask(server, "end", **more)
        except ConnectError:
            return run.job.ask(server, "end", **more)  # over a new connection

    ssh.on_each(taken, end)


def _why(error: BaseException) -> str:
    if isinstance(error, DeployMachineError):
        return ": ".join(" ".join(text.split()) for text in (error.what, error.why) if text)
    return "stopped" if isinstance(error, KeyboardInterrupt) else type(error).__name__
