"""Your own tasks: copy this file to fab_local.py. They appear in `fab --list` and may replace a stock task."""

from invoke.context import Context
from invoke.tasks import task

from deploymachine.contrib import system


@task
def uptime(_: Context) -> None:
    """How long the selected servers have been up: `fab everything uptime`."""
    system.on_selected(["uptime", "--pretty"])
