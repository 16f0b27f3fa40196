"""Tasks that act on the selected servers: provision, launch, kokki, ssh."""

from __future__ import annotations

import os
import sys
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task

from deploymachine.errors import DeployMachineError
from deploymachine.tasks._deployment import deployment, keep_groups, publish_host_keys, settings
from deploymachine.tasks._report import reported
from deploymachine.tasks._selection import Choose, selected
from deploymachine.tasks._task import task
from deploymachine.tasks.ssh_config import keep_up

PENDING = 2


@task()
def provision(_: Context) -> None:
    """Once per server, as root: deploy user, SSH on its own port, firewall. Skips what is provisioned."""
    from deploymachine.provision import provision as provision_servers

    here = deployment()
    servers = selected(here.inventory)
    try:
        with reported() as shown:
            provision_servers(servers, here, shown)
    finally:
        _publish()
        keep_up()


def _publish() -> None:
    """Which keys the servers have now. That the cloud does not take them must not hide what else went wrong."""
    try:
        publish_host_keys()
    except DeployMachineError as error:
        print(f"warning: {error}", file=sys.stderr)


@task()
def launch(_: Context) -> None:
    """Bring the selected servers to production: cook them, release their sites, wait until they answer."""
    from deploymachine.launch import launch as launch_servers

    here = deployment()
    servers = selected(here.inventory)
    keep_groups()
    with reported() as shown:
        launch_servers(servers, here, shown)


@task(help={"dry_run": "show what would change (exit code 2 if something would), change nothing"})
def kokki(_: Context, dry_run: bool = False) -> None:
    """Cook the selected servers: bring each to what kokki-config.yaml and settings.py say, changing what differs."""
    here = deployment()
    _cook(selected, here, dry_run)


def kokki_of(kind: str, choose: Choose) -> Task[Any]:
    """The task `kokki:TYPE`: cook every server of one type."""

    @task(name=f"kokki:{kind}", help={"dry_run": "show what would change, change nothing"})
    def cook_type(_: Context, dry_run: bool = False) -> None:
        from deploymachine.tasks._selection import forget, select

        forget()
        select(kind, choose)
        _cook(selected, deployment(), dry_run)

    cook_type.__doc__ = f"Cook every {kind}, so that it knows its present peers."
    return cook_type


def _cook(choose: Any, here: Any, dry_run: bool) -> None:
    from deploymachine.cook import cook

    servers = choose(here.inventory)
    if not dry_run:
        keep_groups()
    with reported() as shown:
        results = cook(servers, here, shown, dry_run=dry_run)
    if any(result.state == "pending" for result in results):
        raise Exit(code=PENDING)


@task(positional=["name"], help={"name": "the server's name"})
def ssh(_: Context, name: str) -> None:
    """Log in to a server as the deploy user: `fab ssh appnode1`."""
    server = deployment().inventory.named(name)
    known_hosts = settings().state / "known_hosts"
    options = ["-o", f"UserKnownHostsFile={known_hosts}", "-o", "StrictHostKeyChecking=yes"]
    target = ["-p", str(settings().SSH_PORT), f"{settings().DEPLOY_USERNAME}@{server.address}"]
    os.execvp("ssh", ["ssh", *options, *target])  # noqa: S606 (the terminal goes over to it)
