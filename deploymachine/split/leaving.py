"""A server whose type becomes smaller in, or one that goes; out comes one that has stopped doing what others do now.

What a type cooks and its successor does not is undone by counterparts of those recipes: for `redis` that is
`redis.absent` (it stops, and stays so; its data are kept) and later `redis.removed` (nothing is left of it), for
`logs.central` it is `logs.central_absent` and `logs.central_removed`. A cookbook of the user's own may bring such, too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deploymachine import cookbooks
from deploymachine.cook import cook
from deploymachine.inventory import Server
from deploymachine.report import Report
from deploymachine.runlist import cookbook_paths, load, recipes_of
from deploymachine.servertypes import Deployment
from deploymachine.settings import Settings

ABSENT, REMOVED = "absent", "removed"


def ended(before: str, after: str | None, settings: Settings) -> list[str]:
    """The recipes that servers of type `before` cook and those of type `after` do not; None: the server goes.

    What was begun last is ended first. Raises SettingsError.
    """
    stay = recipes_of(after or "base", settings)
    return [recipe for recipe in reversed(recipes_of(before, settings)) if recipe not in stay]


def shrink(server: Server, before: str, after: Deployment, report: Report) -> list[str]:
    """Have a server, which is of a smaller type in `after`, stop what only its type of before did; repeatable.

    Others must do that work already, and the server must have been cooked in `after`, which closes its doors.
    Returns what it goes on doing for want of a recipe that ends it. Raises ConvergeError; a database that nobody has
    taken over is one of these.
    """
    return _undo(after.inventory.named(server.name), before, after, report, ABSENT)


def stop(server: Server, during: Deployment, report: Report) -> list[str]:
    """Have a server that goes stop all that its type does, and let in nobody but us; repeatable. As `shrink`."""
    without = replace(during, leaving=during.leaving | {server.name})
    return _undo(during.inventory.named(server.name), None, without, report, ABSENT)


def remove(server: Server, before: str, after: Deployment, report: Report) -> list[str]:
    """Remove what `shrink` kept: data, configuration with its secrets, packages. For good; repeatable. As `shrink`."""
    now = after.inventory.named(server.name)
    _undo(now, before, after, report, ABSENT)  # what runs still uses what is removed
    return _undo(now, before, after, report, REMOVED)


def _undo(server: Server, before: str | None, deployment: Deployment, report: Report, how: str) -> list[str]:
    """before: what it was; None: it is that still, and goes."""
    settings = deployment.settings
    recipes = ended(server.type, None, settings) if before is None else ended(before, server.type, settings)
    known = _known(settings)
    undoing = [_counterpart(recipe, how) for recipe in recipes]
    doors = ("base.firewall",) if before is None else ()
    wanted = (*(recipe for recipe in undoing if recipe in known), *doors)
    if wanted:
        closed: dict[str, Any] = {"base.firewall_rules": []} if doors else {}
        cook([server], deployment, report, phase=how, recipes=wanted, attributes=closed)
    lacking = [old for old, new in zip(recipes, undoing, strict=True) if new not in known]
    return [f"{server.name}: what {old} brought stays; {_counterpart(old, how)} would end it" for old in lacking]


def _counterpart(recipe: str, how: str) -> str:
    book, _, name = recipe.partition(".")
    return f"{book}.{name}_{how}" if name else f"{book}.{how}"


def _known(settings: Settings) -> set[str]:
    """The recipes that there are, ours and those of cookbook_paths."""
    books = cookbooks.found(cookbook_paths(load(settings), settings))
    return {f"{name}.{file.stem}" for name, folder in books.items() for file in folder.glob("recipes/*.py")}
