"""A deployment's directory in, every line of `fab check` out, in order, as they are found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from deploymachine.check import clouds, here, network, roles
from deploymachine.check.lines import Line, failed, looked, ok, warn
from deploymachine.errors import DeployMachineError
from deploymachine.inventory import Inventory, fixed
from deploymachine.settings import Settings, load


def examine(directory: Path) -> Iterator[Line]:
    """Works with nothing booted, and with settings that can't be read; raises nothing."""
    yield from looked("versions", here.versions)
    yield from looked("fab_local.py", lambda: here.own_tasks(directory))
    try:
        settings = load(directory)
    except DeployMachineError as error:
        yield failed("settings", error)
        yield warn("the rest", "not looked at: it depends on the settings", "mend them, then `fab check` again")
        return
    yield ok("settings", f"deployment {settings.DEPLOYMENT}, {_counted(settings)}")
    yield from looked("roles", lambda: roles.roles(settings))
    yield from looked("sites", lambda: roles.serving(settings))
    yield from looked("keys", lambda: here.keys(settings))
    yield from looked("secrets", lambda: here.private_files(settings))
    yield from looked("split", lambda: here.under_way(settings))
    yield from looked("cloud", lambda: _outside(settings))


def _counted(settings: Settings) -> str:
    named = [*settings.OPENSTACK_SERVERS.values(), *settings.SERVERS.values()]
    counts = {"server": sum(map(len, named)), "site": len(settings.SITES), "database": len(settings.DATABASES)}
    return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items())


def _outside(settings: Settings) -> Iterator[Line]:
    """The cloud, then what needs its servers' addresses."""
    if not settings.OPENSTACK_SERVERS:
        yield clouds.no_clouds_needed()
        yield from _of_servers(settings, Inventory(fixed(settings)))
        return
    from deploymachine.cloud import Cloud, connect

    try:
        cloud = connect(settings)
    except DeployMachineError as error:
        yield failed("cloud", error)
        yield from _of_servers(settings, Inventory(fixed(settings)))
        return
    yield clouds.credentials(cloud)
    booted = list(cloud.servers())
    settings, inventory = _as_it_is(settings, Inventory([*booted, *fixed(settings)]))
    cloud = Cloud(settings, cloud.connection)
    yield from looked("quota", lambda: clouds.room(cloud, inventory, settings))
    yield from looked("groups", lambda: clouds.groups(cloud))
    yield from _of_servers(settings, inventory)


def _as_it_is(settings: Settings, inventory: Inventory) -> tuple[Settings, Inventory]:
    """Both as every task sees them while a split, a merge or a move is under way. Raises UsageError."""
    if not (settings.state / "split.json").exists():
        return settings, inventory
    from deploymachine import secrets
    from deploymachine.servertypes import Deployment
    from deploymachine.split.between import between

    there = between(Deployment(settings, inventory, secrets.of(settings)))
    return there.settings, there.inventory


def _of_servers(settings: Settings, inventory: Inventory) -> Iterator[Line]:
    yield from looked("dns", lambda: network.names(settings, inventory))
    yield from looked("ports", lambda: network.ports(settings, inventory))
    yield from looked("servers", lambda: _servers(settings, inventory))


def _servers(settings: Settings, inventory: Inventory) -> Iterable[Line]:
    from deploymachine import secrets
    from deploymachine.servertypes import Deployment
    from deploymachine.status.asking import look

    if not len(inventory):
        return []
    deployment = Deployment(settings, inventory, secrets.of(settings))
    return clouds.servers(look(deployment, inventory.servers))
