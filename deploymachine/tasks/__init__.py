"""The namespace that `fab --list` shows: deploymachine's tasks, one per server type and name, and the team's own."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task

from deploymachine import servertypes
from deploymachine.errors import SettingsError
from deploymachine.inventory import Inventory, Server
from deploymachine.settings_file import execute, settings_path
from deploymachine.tasks import (
    _deployment,
    _environments,
    check,
    completion,
    cookbooks,
    devcloud,
    logs,
    openstack,
    openstack_change,
    reboots,
    releases,
    servers,
    split,
    ssh_config,
    status,
)
from deploymachine.tasks._deployment import deployment
from deploymachine.tasks._names import know_tasks
from deploymachine.tasks._own import add_own
from deploymachine.tasks._report import reported
from deploymachine.tasks._selection import Choose, select, selected
from deploymachine.tasks._task import task
from deploymachine.tasks._unknown import tell_unknown_words

__all__ = ["deployment", "namespace", "reported", "selected", "task"]


def namespace(fabfile: str | Path) -> Collection:
    """Every task there is for the deployment beside `fabfile`."""
    directory = Path(fabfile).resolve().parent
    environment = _environments.chosen(sys.argv[1:], directory)
    _deployment.set_directory(directory)
    found = Collection(auto_dash_names=False)
    for one in _all_tasks(directory):
        found.tasks[one.name] = one
    found.add_collection(releases.collection())
    for module in _contrib():
        found.add_collection(_with_default(Collection.from_module(module, auto_dash_names=False), found))
    for one in _environments.tasks(directory, environment, {*found.tasks, *found.collections}):
        found.tasks[one.name] = one
    add_own(found, directory, check.check.name)
    names = [name for task_name, aliases in found.task_names.items() for name in (task_name, *aliases)]
    know_tasks(names)
    tell_unknown_words(names)
    if (line := completion.line_asked(sys.argv[1:])) is not None:
        completion.answer(found, directory, line)
    return found


def _with_default(collection: Collection, found: Collection) -> Collection:
    """A task that has the name of a collection is said as before: `fab logs`, beside `fab logs.tail`."""
    if stock := found.tasks.pop(collection.name, None):
        collection.add_task(stock, name="show", default=True)
    return collection


def _contrib() -> list[ModuleType]:
    from deploymachine import contrib

    names = [module.name for module in pkgutil.iter_modules(contrib.__path__) if not module.name.startswith("_")]
    return [importlib.import_module(f"{contrib.__name__}.{name}") for name in names]


def _all_tasks(directory: Path) -> list[Task[Any]]:
    return [
        *(
            one
            for module in (
                openstack,
                openstack_change,
                servers,
                reboots,
                split,
                status,
                check,
                ssh_config,
                logs,
                devcloud,
                completion,
            )
            for one in _tasks(module)
        ),
        *(releases.rollback, releases.releases, releases.audit),
        _selecting("everything", lambda inventory: inventory.servers, "Select every server."),
        _selecting(
            "root",
            lambda inventory: inventory.servers,
            "Select every server, to be worked on as root: `fab root provision`.",
        ),
        *(_selecting(kind, _of_type(kind), f"Select every {kind}.") for kind in servertypes.names()),
        *(servers.kokki_of(kind, _of_type(kind)) for kind in servertypes.names()),
        *(_selecting(f"server:{name}", _named(name), f"Select {name}.") for name in server_names(directory)),
        *cookbooks.tasks(directory),
    ]


def _tasks(module: ModuleType) -> list[Task[Any]]:
    return [value for value in vars(module).values() if isinstance(value, Task)]


def _selecting(name: str, choose: Choose, doc: str) -> Task[Any]:
    def body(_: Context) -> None:
        select(name, choose)

    body.__doc__ = doc
    return task(name=name)(body)


def _of_type(kind: str) -> Choose:
    return lambda inventory: inventory.of_type(kind)


def _named(name: str) -> Choose:
    def choose(inventory: Inventory) -> tuple[Server, ...]:
        return (inventory.named(name),)

    return choose


def server_names(directory: Path) -> list[str]:
    """Servers: those of settings.py, and of servers booted here besides, whose host keys are pinned."""
    from deploymachine.hostkeys import pinned_names

    return sorted({*_names_in_settings(directory), *pinned_names(directory)})


def _names_in_settings(directory: Path) -> list[str]:
    """Read without checking anything: `fab --list` works with settings that don't."""
    try:
        named = execute(settings_path(directory))
        kinds = [*named.get("OPENSTACK_SERVERS", {}).values(), *named.get("SERVERS", {}).values()]
        return [one["name"] if isinstance(one, dict) else one[0] for kind in kinds for one in kind]
    except (SettingsError, AttributeError, LookupError, TypeError, ValueError):
        return []
