"""fab_local.py in, its tasks in the namespace out: beside ours, or in the place of ours of the same name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.exceptions import Exit
from invoke.tasks import Task

from deploymachine.errors import SettingsError
from deploymachine.settings_file import execute

LOCAL = "fab_local.py"


def add_own(found: Collection, directory: Path, forgiven: str) -> None:
    """Add what fab_local.py defines: tasks, `@task(name="nginx.reload")` among them, and collections of tasks.

    forgiven: the task that can be run although the file is broken.
    """
    path = directory / LOCAL
    if not path.is_file():
        return
    try:
        named = execute(path)
    except SettingsError as error:
        if forgiven in sys.argv[1:]:  # which tells this among the rest
            return
        raise Exit(f"error: {error}", 1) from None
    for name, value in named.items():
        if isinstance(value, Task):
            put(found, value.name, value)
        elif isinstance(value, Collection):
            _put_all(found, value.name or name, value)


def put(found: Collection, name: str, one: Task[Any]) -> None:
    """Have `fab NAME` run that task. A dotted name is that of a task within a collection."""
    head, _, rest = name.partition(".")
    if rest:
        put(_within(found, head), rest, one)
    elif name in found.collections:
        inner = found.collections[name]
        inner.default = inner.default or name
        inner.tasks[inner.default] = one
    else:
        found.tasks[name] = one


def _put_all(found: Collection, name: str, own: Collection) -> None:
    for inner, one in own.tasks.items():
        put(found, f"{name}.{inner}", one)
    for inner, further in own.collections.items():
        _put_all(found, f"{name}.{inner}", further)


def _within(found: Collection, name: str) -> Collection:
    """The collection of that name; where a task has that name already, it is what the name alone means."""
    if name not in found.collections:
        made = Collection(name, auto_dash_names=False)
        if (stock := found.tasks.pop(name, None)) is not None:
            made.add_task(stock, name=name, default=True)
        found.add_collection(made)
    inner: Collection = found.collections[name]
    return inner
