"""The tasks of the sites, and what begins them at set times: handed to another server, no task lost, none begun twice.

First CRON and the beats stop where they are, and come to their end. Then another server is the broker, and those who
hand in tasks are told of it. The old queues are worked on until they are empty; only then the workers follow, and CRON
and the beats begin on the new server. Tasks that are handed in meanwhile wait for that, or are done by its own workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deploymachine import ssh
from deploymachine.converge import Event, Result
from deploymachine.cook import ask, cook, on_all, sudo_password
from deploymachine.errors import ConvergeError, DeployMachineError
from deploymachine.inventory import Server
from deploymachine.rotation_plans import sites as sites_on
from deploymachine.servertypes import Deployment, broker
from deploymachine.split.asking import done, wait_for_the_last
from deploymachine.split.part import Moving, Size, Switched
from deploymachine.split.reach import reached

RABBITMQ = ("rabbitmq",)
LONGEST = 600.0  # seconds that commands of CRON, and tasks that wait, may take; `Moving.patience` may be less


def measure(moving: Moving) -> Size:
    """What waits in the queues."""
    if broker.node(moving.deployment) != moving.old:
        return Size(0, "what begins tasks at set times")
    waiting = _look(moving.old, moving)
    return Size(0, f"{sum(waiting.values())} tasks that wait in {len(waiting)} queues")


def prepare(moving: Moving) -> None:
    """Nothing is copied: tasks stay where they are until they are done."""


def switch(moving: Moving) -> Switched:
    """Hand over. Repeatable; where it fails, the old one goes on as before."""
    before, handed = moving.deployment, moving.handed
    node = broker.node(before)
    moves = node is not None and node != broker.node(handed)
    workers = [one for one in handed.inventory.serving("tasknode") if one != moving.new]
    # Where nobody else has workers, those of the new one have to empty the old queues before they follow.
    early = RABBITMQ if moves and not workers else ()
    try:
        _rest(moving, moves=moves)
        cook([moving.new], handed, moving.report, phase="take over", recipes=early)
        if moves and node is not None:
            _tell(before.inventory.serving("appnode"), handed, moving)
            _wait_for_the_last(node, moving)
            _run_empty(node, moving)
    except DeployMachineError:
        _take_back(moving)
        raise
    if early:
        cook([moving.new], handed, moving.report, phase="take over")
    _tell([*workers, *(one for one in (moving.old,) if one not in workers)], handed, moving)
    _work([moving.new, *workers], moving)
    return Switched(0.0, tuple(_proof(moving, node if moves else None)))


def back(moving: Moving) -> None:
    """The old one begins tasks again, and is the broker where it was. Where the new one is gone, its tasks are, too."""
    before = moving.reverse.handed
    if reached(moving.new, before):
        switch(moving.reverse)
        return
    cook([moving.old], before, moving.report, phase="take over")
    nodes = [*before.inventory.serving("appnode"), *before.inventory.serving("tasknode")]
    others = [node for node in nodes if node != moving.new]
    _tell(others, before, moving)
    _work(list(dict.fromkeys([moving.old, *others])), moving)


def follow(moving: Moving) -> None:
    """Where appnodes begin what CRON names, the one that visitors go to now begins it, and the other no more.

    Repeatable. moving: of the files, in whose deployment the balancers' visitors have been turned already.
    """
    handed = moving.handed
    old, new = moving.deployment.first("tasknode", "appnode"), handed.first("tasknode", "appnode")
    if not handed.settings.CRON or old is None or new is None or old == new:
        return
    if not reached(old, handed):
        _tell([new], handed, moving)
        return
    try:
        _rest(moving, moves=False)
        _tell([old], handed, moving)
    except DeployMachineError:
        _work([old], moving)
        raise
    _tell([new], handed, moving)


def finish(moving: Moving) -> None:
    """Nothing: empty queues go with RabbitMQ, when `leaving` removes that, or with the server."""


def _proof(moving: Moving, node: Server | None) -> Iterable[str]:
    leads = moving.handed.first("tasknode", "appnode")
    if leads is not None:
        yield f"tasks at set times are begun by {leads.name} alone"
    if node is not None:
        yield f"tasks: {sum(_look(node, moving).values())} are left on {node.name}"


def _rest(moving: Moving, *, moves: bool) -> None:
    """Nothing begins at its time any more, where another will begin it, or where it is handed in at the old broker.

    Raises ConvergeError where a command of CRON does not end.
    """
    before = moving.deployment
    first, then = before.first("tasknode", "appnode"), moving.handed.first("tasknode", "appnode")
    if first is None or (first == then and not (moves and first in before.inventory.serving("tasknode"))):
        return
    if cut := _each([first], "leave", moving)[0]["cut"]:
        raise ConvergeError(
            f"{first.name} is still at work, so nobody takes over from it",
            where=first.where,
            why=f"after {_seconds(moving):.0f} s there were {', '.join(cut)}",
            hint="begin when it is done; it goes on as before",
        )


def _tell(servers: Iterable[Server], deployment: Deployment, moving: Moving) -> None:
    """Have those who run sites know where tasks are handed in, and who begins what at which time."""
    for nodes, recipes in sites_on(list(dict.fromkeys(servers))):
        if nodes and recipes:
            cook(nodes, deployment, moving.report, phase="tell sites", recipes=recipes)


def _wait_for_the_last(node: Server, moving: Moving) -> None:
    """Until no process that serves pages hands in tasks at the old broker. Raises ConvergeError."""
    nodes = moving.deployment.inventory.serving("appnode")
    known = f"@{node.private_ip}:{broker.PORT}/"
    wait_for_the_last([known], nodes, moving, seconds=_seconds(moving), use=f"hand tasks in at {node.name}")


def _run_empty(node: Server, moving: Moving) -> None:
    """Raises ConvergeError where tasks still wait when the time is over."""
    waiting = _each([node], "empty", moving)[0]["waiting"]
    if waiting:
        raise ConvergeError(
            f"Tasks still wait on {node.name}, so it goes on as before",
            where=node.where,
            why=f"after {_seconds(moving):.0f} s there were "
            + ", ".join(f"{name} ({count})" for name, count in waiting.items()),
            hint="begin when they are done; tasks with a countdown wait as long as that takes",
        )


def _work(servers: Sequence[Server], moving: Moving) -> None:
    """What they are to do and do not, they begin."""
    _each(servers, "work", moving)


def _take_back(moving: Moving) -> None:
    """All as it was: who hands in, who begins. What can't be told now is told by `--abort`."""
    before = moving.deployment
    try:
        cook([moving.new], before, moving.report, phase="as before")
        _tell(before.inventory.serving("appnode"), before, moving)
        first = before.first("tasknode", "appnode")
        _work([one for one in (first,) if one is not None], moving)
    except DeployMachineError as error:
        moving.report.phase(moving.old, f"not put back: {error.what}")


def _each(servers: Sequence[Server], action: str, moving: Moving) -> list[Event]:
    """Have them do it; what each tells."""
    words = {"leave": "rest", "empty": "queues run empty", "work": "go on"}
    request = {"command": "retire", "action": action, "seconds": _seconds(moving), "queues": True, "force": False}

    def one(server: Server) -> Result:
        moving.report.phase(server, words[action])
        return done(server, request, moving)

    return [result.result for result in on_all(servers, moving.report, one)] if servers else []


def _look(server: Server, moving: Moving) -> dict[str, int]:
    here = moving.deployment
    request = {"command": "retire", "action": "look", "seconds": 0, "host": server.name}
    with ssh.connect(server, ssh.login(server, here.settings), here.settings) as there:
        return dict(ask(there, request, sudo_password(server, here))["waiting"])


def _seconds(moving: Moving) -> float:
    return min(moving.patience, LONGEST)
