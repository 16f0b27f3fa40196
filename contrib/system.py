"""Look at and act on the machines themselves, whatever they serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from invoke.context import Context

from deploymachine.errors import ConvergeError
from deploymachine.inventory import Server
from deploymachine.tasks import deployment, selected, task

if TYPE_CHECKING:
    from deploymachine.ssh import Completed


@task(help={"command": "what to run, as you would type it there"})
def run(_: Context, command: str) -> None:
    """Run a command as the deploy user on the selected servers: `fab everything system.run --command 'df -h'`."""
    on_selected(["sh", "-c", command])


def on_selected(command: Sequence[str]) -> None:
    """Run `command`, an argv list, on every selected server at once; print its output with the server in front.

    Raises ConvergeError that names every server where it failed, after all were tried.
    """
    from deploymachine.ssh import connect, login, on_each, values  # only now: `fab --list` need not wait for it

    here = deployment()

    def one(server: Server) -> None:
        with connect(server, login(server, here.settings), here.settings) as connection:
            _show(server, connection.run(command))

    values(on_each(selected(here.inventory), one))


def _show(server: Server, done: Completed) -> None:
    for line in (done.output + done.errors).splitlines():
        print(f"{server.name}: {line}", flush=True)
    if done.code:
        raise ConvergeError(f"The command failed on {server.name}", where=server.where, why=f"exit code {done.code}")
