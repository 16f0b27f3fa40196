"""`fab ssh_config`: have a plain `ssh appnode1` log in, and keep that true while servers come and go."""

from __future__ import annotations

import sys
from pathlib import Path

from invoke.context import Context

from deploymachine.errors import DeployMachineError
from deploymachine.tasks._deployment import inventory, settings
from deploymachine.tasks._task import task


@task(help={"write": "write it to .deploymachine/ssh_config and keep it up", "path": "write it there instead"})
def ssh_config(_: Context, write: bool = False, path: str = "") -> None:
    """An OpenSSH configuration for the servers there are: print it, or write it and say what to include."""
    from deploymachine import ssh_config as configuration

    if not write and not path:
        print(configuration.text_of(settings(), inventory()), end="")
        return
    target = configuration.write(settings(), inventory(), Path(path) if path else None)
    print(f"Wrote {target}. Once, at the top of ~/.ssh/config:\n  {configuration.include_line(target)}")
    print("Then `ssh NAME` logs in. openstack_boot, provision and openstack_kill keep the file up.")


def keep_up() -> None:
    """Make the file anew where there is one. What goes wrong is a warning: the servers themselves are as wanted."""
    from deploymachine import ssh_config as configuration

    try:
        if configuration.path(settings()).exists():
            configuration.write(settings(), inventory())
    except DeployMachineError as error:
        print(f"warning: ssh_config is not kept up: {error.what}", file=sys.stderr)
