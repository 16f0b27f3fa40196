"""Servers on their way out in; out come others that do what only they did, and nothing left undone on them.

That is the beats and CRON, the broker, and the cache that is written to. First CRON and the beats stop where they are,
so that nothing is ever begun twice. Then others become broker and cache, those who use them are told, and the workers,
which may still reach everything, go on until the old queues are empty. Only then do they end, warmly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from deploymachine import servertypes, ssh
from deploymachine.converge import Result, run
from deploymachine.cook import checked, on_all, sudo_password
from deploymachine.drain import Leaving, take_over
from deploymachine.errors import ConnectError, DeployMachineError, UsageError
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment, broker

Ask = Callable[[ssh.Connection], Any]


def hand_over(leaving: Leaving) -> list[str]:
    """Have others do what only the leaving did, and these finish what they have begun. Returns notes for the user.

    Raises what went wrong; a broker whose queues don't run empty in time is one of these, unless `force`.
    """
    notes = _ask_all(leaving, "leave", _at_work(leaving))
    for servers in _takers(leaving):
        notes += take_over(leaving, servers)
    notes += _ask_all(leaving, "finish", _at_work(leaving))
    return list(dict.fromkeys(notes))


def rest(leaving: Leaving) -> list[str]:
    """Have the leaving, who will be back, finish what they have begun. Returns notes for the user."""
    notes = [note for action in ("leave", "finish") for note in _ask_all(leaving, action, _at_work(leaving))]
    return list(dict.fromkeys(notes))


def _at_work(leaving: Leaving) -> list[Server]:
    """The leaving that may be in the middle of a task, or hold some."""
    kinds = {"tasknode", "broker"} | ({"appnode"} if leaving.deployment.settings.CRON else set())
    return [server for server in leaving.servers if kinds & set(servertypes.parts(server.type))]


def _takers(leaving: Leaving) -> list[list[Server]]:
    """Those who have to know at once that another leads, in the order in which they have to."""
    here = leaving.deployment
    moves = {kind for kind, leader in _leaders(here).items() if leader in leaving.servers}
    if not moves:
        return []
    stay = [server for server in here.inventory if server not in leaving.servers]
    first = _doing(moves, stay)
    return [first, [server for server in _doing({"appnode"}, stay) if server not in first]]


def _leaders(deployment: Deployment) -> dict[str, Server | None]:
    """The types whose first server has what all others come to for it."""
    kind = "broker" if broker.has_own(deployment.settings) else "tasknode"
    caches = deployment.staying("cachenode")
    return {kind: broker.node(deployment), "cachenode": next(iter(caches), None)}


def _doing(kinds: set[str], servers: Iterable[Server]) -> list[Server]:
    return [server for server in servers if kinds & set(servertypes.parts(server.type))]


def _ask_all(leaving: Leaving, action: str, servers: Sequence[Server]) -> list[str]:
    """Have every one of `servers` do it. One that can't be reached has nothing that could still be saved."""
    notes: list[str] = []
    settings = leaving.deployment.settings

    def one(server: Server) -> Result:
        if server.state != "ACTIVE":
            return Result("skipped", note=f"is {server.state}")
        try:
            with ssh.connect(server, ssh.login(server, settings), settings) as there:
                return _asked(leaving, action, there)
        except DeployMachineError as error:
            if not (leaving.force or isinstance(error, ConnectError)):
                raise
            return Result("skipped", note=f"what it had begun ends with it: {error.what}")

    def noted(server: Server) -> Result:
        result = one(server)
        notes.extend([f"{server.name}: {result.note}"] if result.note else [])
        return result

    if servers:
        on_all(servers, leaving.report, noted)
    return notes


def _asked(leaving: Leaving, action: str, there: ssh.Connection) -> Result:
    server = there.server
    request = {
        "command": "retire",
        "action": action,
        "host": server.name,
        "seconds": leaving.seconds,
        "queues": server == broker.node(leaving.deployment),
        "force": leaving.force,
    }
    leaving.report.phase(server, {"leave": "hand over", "finish": "finish tasks"}[action])
    done = checked(run(there, request, leaving.report.event, sudo_password=sudo_password(server, leaving.deployment)))
    waiting = ", ".join(f"{name} ({count})" for name, count in done.result.get("waiting", {}).items())
    if waiting and not leaving.force:
        raise _still_waiting(leaving, server, waiting)
    cut = ", ".join(done.result["cut"])
    lost = [f"tasks went with its queues: {waiting}"] if waiting else []
    late = [f"not done in time, and ended: {cut}"] if cut else []
    return Result(done.state, note="; ".join([*lost, *late]))


def _still_waiting(leaving: Leaving, server: Server, waiting: str) -> UsageError:
    return UsageError(
        f"Tasks still wait in the queues of {server.name}, so it stays",
        where=server.where,
        why=f"after {leaving.seconds:.0f} s there were {waiting}",
        hint=f"say --wait with more seconds, or --force to lose them; `fab server:{server.name} launch` has it work on",
    )
