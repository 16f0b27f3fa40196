"""A login at this server's Redis in; what it holds and whom it copies out, and who leads changed while it runs.

request: "action", "login" {"user", "password", "port", "authority": a path or None}, and for
    state   nothing more. Changes nothing
    open    a copy takes writes of its own, too, besides all that the one it copies is told
    close   a copy takes none of its own any more
    lead    "offset", "seconds": it copies nobody any more, once it has all that was written up to there

Redis loses what it holds where it is started anew, so nothing here starts it.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, Mapping

from kokki import process
from kokki.exceptions import Fail
from kokki.secrets import reveal
from release.steps import Steps
from release.values import Failure

Request = Mapping[str, Any]
Result = Dict[str, Any]
PAUSE = 0.1  # seconds


def main(request: Request, emit: Callable[[Dict[str, Any]], None]) -> int:
    """Do what request["action"] says. Returns 0, or 1 after a failure event that tells why."""
    steps, asked = Steps(emit), reveal(dict(request))
    try:
        result = ACTIONS[asked["action"]](asked, steps)
    except (Failure, Fail) as error:
        steps.failure(error if isinstance(error, Failure) else Failure(str(error)))
        steps.done("failed", {})
        return 1
    steps.done("ok", result)
    return 0


def _state(request: Request, _steps: Steps) -> Result:
    return state(request["login"])


def state(login: Mapping[str, Any]) -> Result:
    """{"role", "of", "link", "syncing", "offset", "applied", "bytes", "keys", "expiring", "databases"}.

    role: master or slave. offset: bytes of orders that it gave out, or has been told of. applied: a copy's own.
    """
    told = parsed(_cli(login, "INFO"))
    spaces = {name: _pairs(text) for name, text in told.items() if name[:2] == "db" and name[2:].isdigit()}
    return {
        "role": told.get("role", ""),
        "of": told.get("master_host", ""),
        "link": told.get("master_link_status", ""),
        "syncing": told.get("master_sync_in_progress", "0") != "0",
        "offset": int(told.get("master_repl_offset", 0)),
        "applied": int(told.get("slave_repl_offset", 0)),
        "bytes": int(told.get("used_memory_dataset", told.get("used_memory", 0))),
        "keys": sum(one.get("keys", 0) for one in spaces.values()),
        "expiring": sum(one.get("expires", 0) for one in spaces.values()),
        "databases": {name: one.get("keys", 0) for name, one in spaces.items()},
    }


def parsed(text: str) -> Dict[str, str]:
    """What INFO prints: "name:value" lines."""
    pairs = (line.strip().partition(":") for line in text.splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}


def _pairs(text: str) -> Dict[str, int]:
    """ "keys=12,expires=3,avg_ttl=0" as numbers."""
    words = (word.partition("=") for word in text.split(","))
    return {name: int(value) for name, _, value in words if value.isdigit()}


def _open(request: Request, steps: Steps) -> Result:
    with steps.step("take writes") as step:
        _ordered(request["login"], "CONFIG", "SET", "replica-read-only", "no")
        step.changed()
    return state(request["login"])


def _close(request: Request, steps: Steps) -> Result:
    with steps.step("take no writes") as step:
        _ordered(request["login"], "CONFIG", "SET", "replica-read-only", "yes")
        step.changed()
    return state(request["login"])


def _lead(request: Request, steps: Steps) -> Result:
    login, until = request["login"], time.monotonic() + float(request["seconds"])
    with steps.step("lead") as step:
        now = state(login)
        while now["role"] == "slave" and (now["applied"] < int(request["offset"]) or now["syncing"]):
            if time.monotonic() > until:
                lacking = int(request["offset"]) - now["applied"]
                raise Failure(
                    f"It lacks {lacking} bytes of what {now['of']} was told", why=f"its link is {now['link']}"
                )
            time.sleep(PAUSE)
            now = state(login)
        if now["role"] == "slave":
            _ordered(login, "REPLICAOF", "NO", "ONE")
            step.changed("it copies nobody any more")
        _ordered(login, "CONFIG", "SET", "replica-read-only", "yes")
    return state(login)


def _ordered(login: Mapping[str, Any], *words: str) -> None:
    said = _cli(login, *words).strip()
    if not said.startswith("OK"):
        raise Failure(f"Redis refuses {' '.join(words)}", why=said)


def _cli(login: Mapping[str, Any], *words: str) -> str:
    """What Redis answers. The password is in the environment: arguments are for everybody on the server to see."""
    argv = ["redis-cli", "-h", "127.0.0.1", "-p", str(login["port"]), "--no-auth-warning", "--user", login["user"]]
    argv += ["--tls", "--cacert", login["authority"]] if login.get("authority") else []
    done = process.run([*argv, *words], environment={"REDISCLI_AUTH": str.__str__(login["password"])}, timeout=20)
    if done.code or done.output.startswith(("NOAUTH", "WRONGPASS", "NOPERM", "ERR")):
        raise Failure("Redis does not answer", output=done.lines, hint="cook the server first")
    return done.output


ACTIONS: Mapping[str, Callable[[Request, Steps], Result]] = {
    "state": _state,
    "open": _open,
    "close": _close,
    "lead": _lead,
}
