"""A request to a server that takes part in a move in, what it did out; and the wait until nobody uses the old one."""

from __future__ import annotations

from collections.abc import Sequence

from deploymachine import ssh
from deploymachine.converge import Event, Result, run
from deploymachine.cook import checked, on_all, sudo_password
from deploymachine.errors import ConvergeError
from deploymachine.inventory import Server
from deploymachine.split.part import Moving


def done(server: Server, request: Event, moving: Moving) -> Result:
    """Have the server do it, and show what it does. Raises what went wrong."""
    here = moving.deployment
    with ssh.connect(server, ssh.login(server, here.settings), here.settings) as there:
        asked = {**request, "host": server.name}
        return checked(run(there, asked, moving.report.event, sudo_password=sudo_password(server, here)))


def wait_for_the_last(
    values: Sequence[str], nodes: Sequence[Server], moving: Moving, *, seconds: float, use: str
) -> None:
    """Until no process on `nodes` was started with one of `values` in its environment. Raises ConvergeError.

    use: what such a process does, as "use the cache on box1".
    """
    request = {"command": "credentials", "action": "holders", "patience": seconds, "values": list(values)}

    def one(server: Server) -> Result:
        moving.report.phase(server, f"wait for the last to {use}")
        return done(server, request, moving)

    found = on_all(nodes, moving.report, one) if nodes else []
    told = zip(nodes, found, strict=True)
    left = [f"{server.name}: {one['program']}" for server, result in told for one in result.result["holders"]]
    if left:
        raise ConvergeError(
            f"Some processes of the sites still {use}",
            why=f"{len(left)} did not end within {seconds:.0f} s of being told of {moving.new.name}",
            hint="what runs as long as that has to end, or be ended, first",
            evidence=left,
        )
