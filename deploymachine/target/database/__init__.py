"""A request about the server's PostgreSQL in, what was asked for done and told as events out."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping

from release.steps import Emit, Steps
from release.values import Failure

from database import backups, cluster, copies, fence, keeper, proof, replica, restore

Request = Mapping[str, Any]
Result = Dict[str, Any]

# Those that change nothing that a cook looks at need not wait for one.
LOOKING: Mapping[str, Callable[[Request, Steps], Result]] = {
    "state": lambda _request, steps: cluster.state(steps),
    "standing": lambda _request, _steps: keeper.look(),
    "reached": lambda _request, _steps: replica.reached(),
    "replay": lambda _request, _steps: proof.go_on(),
    "backups": lambda _request, steps: backups.told(steps),
    "backup": lambda request, steps: backups.make(bool(request.get("full")), steps),
    "drill": lambda _request, steps: backups.drill(steps),
    "dumps": lambda _request, _steps: {"dumps": copies.every()},
    "dump": lambda request, steps: copies.dump(str(request["database"]), steps),
    "load": lambda request, steps: copies.load(
        str(request["database"]), str(request.get("dump") or ""), str(request.get("owner") or ""), steps
    ),
}
CHANGING: Mapping[str, Callable[[Request, Steps], Result]] = {
    "restore": lambda request, steps: restore.restore(str(request.get("to_time") or ""), steps),
    "promote": lambda request, steps: replica.promote(int(request.get("from_lsn") or 0), steps),
    "follow": lambda _request, steps: replica.set_aside(steps),
    "rejoin": lambda _request, steps: fence.rejoin(steps),
    "discard": lambda _request, steps: fence.discard(steps),
}


def main(request: Request, emit: Emit) -> int:
    """Do what request["action"] says. Returns 0, or 1 after a failure event that tells why."""
    from kokki.exceptions import Fail

    steps = Steps(emit)
    emit({"event": "run-begun", "version": 1, "host": request.get("host", ""), "roles": [], "count": 0})
    try:
        result = _act(request, steps)
    except (Failure, OSError) as error:
        steps.failure(error if isinstance(error, Failure) else Failure.of(error))
    except Fail as fail:
        told = fail.as_event()
        steps.failure(Failure(told["message"], hint=told.get("hint", ""), output=told.get("output", [])))
    else:
        steps.done("ok", result)
        return 0
    steps.done("failed", {})
    return 1


def _act(request: Request, steps: Steps) -> Result:
    action = request.get("action", "")
    if action in LOOKING:
        return LOOKING[action](request, steps)
    if action not in CHANGING:
        known = ", ".join([*LOOKING, *CHANGING])
        raise Failure(f"There is no action {action!r}", why=f"the actions are {known}")
    from kokki.lock import only_one
    from kokki.paths import lock_path

    with only_one(lock_path(), 60, lambda _holder: None):
        return CHANGING[action](request, steps)
