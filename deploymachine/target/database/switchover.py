"""Lines on stdin in, each an order to this server's part in a switchover; an answer to each out, over one connection.

Whoever gives no order for a while, or is gone, is not waited for: every part lets go of what it holds by itself.
"""

from __future__ import annotations

import json
import os
import select
import time
from contextlib import contextmanager, suppress
from typing import Any, Callable, Dict, Iterator, Mapping, Optional

from kokki import secrets
from kokki.exceptions import Fail
from release.steps import Steps
from release.values import Failure

from database.keeper import Keeper
from database.pooler import Pooler
from database.proof import Prover

LEASE = 10.0  # seconds
MARK = "/run/deploymachine-switchover"
Line = Dict[str, Any]
Emit = Callable[[Line], None]


def main(request: Mapping[str, Any], emit: Emit, orders: int) -> int:
    """request: "parts", what each of this server's is made of. orders: a descriptor that lines come from."""
    steps = Steps(emit)
    emit({"event": "run-begun", "version": 1, "host": request.get("host", ""), "roles": [], "count": 0})
    parts = _parts(secrets.reveal(request["parts"]))
    try:
        with _alone(request):
            _mark()
            emit({"event": "answer", "to": 0})
            ended = _obey(parts, _Orders(orders, float(request.get("lease", LEASE))), emit)
    except Fail as fail:
        steps.failure(Failure(str(fail)))
        steps.done("failed", {})
        return 1
    if "pooler" in parts:  # it may have to wait for somebody who leads, and who makes one needs us out of the way
        _quietly(lambda: parts["pooler"].let_go(_is_marked))
    with suppress(OSError):
        steps.done("ok" if ended else "failed", {})
    return 0 if ended else 1


def _parts(told: Mapping[str, Any]) -> Dict[str, Any]:
    parts: Dict[str, Any] = {}
    if "pooler" in told:
        parts["pooler"] = Pooler(**told["pooler"])
    if "keeper" in told:
        parts["keeper"] = Keeper(**told["keeper"])
        parts["prover"] = Prover()
    return parts


def _obey(parts: Mapping[str, Any], orders: _Orders, emit: Emit) -> bool:
    """Until it was told that this is the end (True), or nobody speaks any more (False); then all is let go."""
    try:
        while (line := orders.next()) is not None:
            if line["do"] == "end":
                return True
            emit({"event": "answer", "to": line["number"], **_answer(parts[line["part"]], line)})
    except OSError:
        pass  # nobody listens any more
    finally:
        for name, part in parts.items():
            if name != "pooler":
                _quietly(part.let_go)
    return False


def _answer(part: Any, line: Line) -> Line:
    began = time.monotonic()
    try:
        found = dict(getattr(part, line["do"])(line))
    except (Failure, Fail, OSError) as error:
        told = error if isinstance(error, Failure) else Failure(str(error))
        return {"error": {**told.error(), "why": told.why, "hint": told.hint}}
    return {"result": found, "took": round((time.monotonic() - began) * 1000, 1)}


def _quietly(let_go: Callable[[], None]) -> None:
    with suppress(Failure, Fail, OSError):
        let_go()


class _Orders:
    """Lines from a descriptor. lease: seconds that may go by without one."""

    def __init__(self, descriptor: int, lease: float) -> None:
        self.descriptor, self.lease = descriptor, lease
        self._rest = b""

    def next(self) -> Optional[Line]:
        """The next order; None where nobody gives any more. A word that somebody is there is none."""
        while True:
            while b"\n" not in self._rest:
                if not select.select([self.descriptor], [], [], self.lease)[0]:
                    return None
                data = os.read(self.descriptor, 1 << 16)
                if not data:
                    return None
                self._rest += data
            text, _, self._rest = self._rest.partition(b"\n")
            line: Line = json.loads(text)
            if line["do"] != "stay":
                return line


def _mark() -> None:
    """Nobody but us decides from now on when sites are let go."""
    with open(MARK, "w") as file:
        file.write(str(os.getpid()))


def _is_marked() -> bool:
    try:
        with open(MARK) as file:
            return file.read() == str(os.getpid())
    except OSError:
        return True


@contextmanager
def _alone(request: Mapping[str, Any]) -> Iterator[None]:
    """No cook meanwhile."""
    from kokki.lock import only_one
    from kokki.paths import lock_path

    with only_one(lock_path(), float(request.get("wait", 60)), lambda _holder: None):
        yield
