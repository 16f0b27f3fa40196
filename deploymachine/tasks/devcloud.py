"""`fab devcloud_up`, `fab devcloud_down`, `fab devcloud_status`: an OpenStack of one's own on this machine."""

from __future__ import annotations

from invoke.context import Context

from deploymachine.tasks._deployment import directory
from deploymachine.tasks._task import task


@task()
def devcloud_up(_context: Context) -> None:
    """Start a one-machine OpenStack here and name it in clouds.yaml as "devcloud" (Linux, root)."""
    from deploymachine.devcloud import control

    control.up(directory())


@task(help={"purge": "remove the image cache, too"})
def devcloud_down(_context: Context, purge: bool = False) -> None:
    """End it and all its machines, leaving nothing but the image cache."""
    from deploymachine.devcloud import control

    control.down(purge=purge)


@task()
def devcloud_status(_context: Context) -> None:
    """Show what runs on it."""
    from deploymachine.devcloud import control

    print(control.status())
