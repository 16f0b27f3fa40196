"""Passwords in; who on this server has them in its environment out, or whether the databases take them.

request: "action", "host", and for
    "holders"   "values": the texts to look for; "patience": seconds to wait until nobody has them any more
    "try"       "logins": [{"user", "password", "database", "port"}], each tried at this server's own pgbouncer
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any, Callable, Dict, Iterable, Iterator

from kokki import process
from kokki.exceptions import Fail
from kokki.secrets import reveal

Request = Dict[str, Any]
Result = Dict[str, Any]
Emit = Callable[[Dict[str, Any]], None]
PAUSE = 0.25  # seconds
PROC = "/proc"


def main(request: Request, emit: Emit) -> int:
    """Do what request["action"] says. Returns 0, or 1 after a failure event that tells why."""
    began, state = time.monotonic(), "ok"
    result: Result = {}
    asked = reveal(request)
    emit({"event": "run-begun", "version": 1, "host": asked.get("host", ""), "roles": [], "count": 0})
    try:
        result = ACTIONS[asked["action"]](asked)
    except Fail as fail:
        state, told = "failed", fail.as_event()
        emit({"event": "failure", "what": told["message"], "output": told.get("output", [])})
    ms = round((time.monotonic() - began) * 1000, 1)
    emit({"event": "run-done", "state": state, "totals": {}, "ms": ms, "result": result})
    return 0 if state == "ok" else 1


def holders(request: Request) -> Result:
    """{"holders": [{"pid", "program"}]}: as soon as there are none, or those that are left in the end."""
    values = [str.encode(str(value)) for value in request["values"]]
    until = time.monotonic() + float(request.get("patience", 0))
    while True:
        found = list(with_values(values))
        if not found or time.monotonic() >= until:
            return {"holders": found}
        time.sleep(PAUSE)


def with_values(values: Iterable[bytes], proc: str = PROC) -> Iterator[Result]:
    """Every process that was started with one of these in its environment."""
    wanted = list(values)
    for name in sorted((name for name in os.listdir(proc) if name.isdigit()), key=int):
        with suppress(OSError):  # it has ended meanwhile
            with open(f"{proc}/{name}/environ", "rb") as file:
                environment = file.read()
            if any(value in environment for value in wanted):
                with open(f"{proc}/{name}/comm", encoding="utf-8", errors="replace") as file:
                    yield {"pid": int(name), "program": file.read().strip()}


def tried(request: Request) -> Result:
    """Log in with each. Raises Fail that names the first that is not let in."""
    for login in request["logins"]:
        _log_in(login)
    return {"logins": len(request["logins"])}


def _log_in(login: Result) -> None:
    words = [
        "psql",
        "-XqAtw",
        "-h",
        "127.0.0.1",
        "-p",
        str(login["port"]),
        "-U",
        login["user"],
        "-d",
        login["database"],
    ]
    done = process.run(
        [*words, "-c", "SELECT 1"], user="nobody", cwd="/", environment={"PGPASSWORD": login["password"]}
    )
    if done.code != 0:
        raise Fail(f"{login['database']} does not let {login['user']} in with the new password", output=done.lines)


ACTIONS: Dict[str, Callable[[Request], Result]] = {"holders": holders, "try": tried}
