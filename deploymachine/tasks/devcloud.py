"""`fab devcloud_up`, `_down`, `_reset`, `_status`: an OpenStack of one's own on this machine."""

from __future__ import annotations

from invoke.context import Context

from deploymachine.tasks._deployment import directory, settings
from deploymachine.tasks._prompt import agreed
from deploymachine.tasks._task import task

DEVCLOUD = "devcloud"  # its name in clouds.yaml


@task()
def devcloud_up(_context: Context) -> None:
    """Start a one-machine OpenStack here and name it in clouds.yaml as "devcloud" (Linux, root)."""
    from deploymachine.devcloud import control

    control.up(directory())


@task(help={"purge": "remove the image cache, too"})
def devcloud_down(_context: Context, purge: bool = False) -> None:
    """End it and all its machines, leaving nothing but the image cache."""
    from deploymachine.devcloud import control

    control.down(purge=purge, directory=directory())
    _forget_keys()


@task(help={"yes": "don't ask"})
def devcloud_reset(_context: Context, yes: bool = False) -> None:
    """Empty it: all servers, volumes, addresses and snapshots go; it stays up, the images to boot from stay."""
    from deploymachine.devcloud import control

    rows = control.status().rows
    if not agreed(f"Delete everything on devcloud ({len(rows)} servers, every volume and snapshot)?", yes, always=True):
        return
    control.reset(directory())
    _forget_keys()


def _forget_keys() -> None:
    """The machines are gone, and so are their host keys; a server made later at the same address has another."""
    from deploymachine.hostkeys import HostKeys
    from deploymachine.settings_file import settings_path

    if settings_path(directory()).is_file() and settings().OPENSTACK_CLOUD == DEVCLOUD:
        HostKeys(settings()).unpin_all()


@task()
def devcloud_status(_context: Context) -> None:
    """Show what runs on it."""
    from deploymachine.devcloud import control

    print(control.status())
