"""Settings and recipes go in; an Environment (a Kitchen with cookbooks) declares their resources and runs them."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import Any, Callable, ClassVar, Dict, Iterator, List, Set, Tuple, Union

from kokki.config import AttributeDictionary, assign
from kokki.cookbook import SHORT_NAMES, Cookbook
from kokki.exceptions import Fail, suggest
from kokki.system import System

__all__ = ["Cookbook", "Environment", "Kitchen"]

LONG_VERSION = "kokki 1.0"
ACTIONS_THAT_WRITE = {"create", "touch"}


def _ignore(_event: Dict[str, Any]) -> None:
    pass


class Environment:
    """Resources in the order of their declaration, and what it takes to run them.

    emit: is called with each event.  dry_run: say what would change, change nothing.
    """

    _instances: ClassVar[List[Environment]] = []

    def __init__(self, emit: Callable[[Dict[str, Any]], None] = _ignore, dry_run: bool = False) -> None:
        from datetime import datetime

        from kokki.engine import Run
        from kokki.paths import state_path

        now = datetime.now()  # recipes print it as the server's own time
        self.system = System.get_instance()
        self.config = AttributeDictionary()
        self.resources: Dict[str, Dict[str, Any]] = {}
        self.resource_list: List[Any] = []
        self.claims: Dict[str, List[Any]] = {}
        self.cookbooks = AttributeDictionary()
        self.included_recipes: Dict[str, Tuple[Cookbook, str]] = {}
        self.dry_run = dry_run
        self.keeps_state = False  # a run on a server may leave there what makes the next one quicker
        self.runner = Run(self, emit)
        self.update_config(
            {
                "date": now,
                "kokki.long_version": LONG_VERSION,
                "kokki.backup.path": state_path("backup"),
                "kokki.backup.prefix": now.strftime("%Y%m%d%H%M%S"),
                "kokki.backup.keep": 10,
                "kokki.apt.max_age": 86400,
                "kokki.apt.recommends": False,
            }
        )

    @property
    def delayed_actions(self) -> Dict[Tuple[str, Any], int]:
        """(action, resource) pairs that wait for the end of the run, as the keys of a dict."""
        return self.runner.delayed

    @property
    def log(self) -> Any:
        import logging

        return logging.getLogger("kokki")

    def update_config(self, attributes: Dict[str, Any], overwrite: bool = True) -> None:
        for dotted, value in attributes.items():
            assign(self.config, dotted, value, overwrite)

    def run(self) -> None:
        """Run every resource, then the delayed actions. Raises Fail at the first that fails."""
        with self:
            self.runner.everything()

    def run_action(self, resource: Any, action: str) -> None:
        with self:
            self.runner.perform(resource, [action])

    def backup_file(self, path: str) -> None:
        """Keep the file as it is now; only the newest `kokki.backup.keep` of each path are kept."""
        from kokki.backup import keep

        if self.config.kokki.backup.path:
            settings = self.config.kokki.backup
            keep(path, settings.path, settings.prefix, int(settings.keep))

    @contextmanager
    def announced(self, resource: Any) -> Iterator[None]:
        """While resource is being changed: its notifications are on disk, so that a killed run still owes them."""
        self.runner.about_to_change(resource)
        with self.runner.owing(resource):
            yield

    def claim(self, resource: Any) -> None:
        """Refuse a second resource that would write the same path."""
        if not resource.claims_path or not ACTIONS_THAT_WRITE.intersection(resource.action):
            return
        path = os.path.normpath(str(resource.path))
        claims = self.claims.setdefault(path, [])
        for other in claims:
            if _fight(resource, other):
                raise Fail(f"{resource} and {other} (at {other.source}) both want to write {path}")
        claims.append(resource)

    def withdraw(self, resource: Any) -> None:
        """Forget a resource whose declaration turned out to be wrong."""
        self.resource_list.remove(resource)
        del self.resources[type(resource).__name__][resource.name]

    def calling_line(self) -> str:
        """`book/recipes/x.py:12` of the code that is declaring something: the recipe, else whatever called us."""
        frame = sys._getframe(1)
        found = ""
        while frame is not None:
            name = frame.f_code.co_filename
            short = SHORT_NAMES.get(name)
            if short is not None and "/recipes/" in short:
                return f"{short}:{frame.f_lineno}"
            if not found and not name.startswith(_HERE):
                found = f"{short or os.path.basename(name)}:{frame.f_lineno}"
            frame = frame.f_back  # type: ignore[assignment]
        return found

    def cookbook(self, name: str) -> Cookbook:
        raise Fail(f"There is no cookbook {name}: this environment has none")

    @classmethod
    def get_instance(cls) -> Environment:
        if not Environment._instances:
            raise Fail("Resources are declared in a recipe, or within `with Kitchen():`")
        return Environment._instances[-1]

    def __enter__(self) -> Any:
        Environment._instances.append(self)
        return self

    def __exit__(self, *_error: Any) -> None:
        Environment._instances.pop()


class Kitchen(Environment):
    """An Environment whose resources come from the recipes of cookbooks."""

    def __init__(self, emit: Callable[[Dict[str, Any]], None] = _ignore, dry_run: bool = False) -> None:
        super().__init__(emit, dry_run)
        self.included_recipes_order: List[str] = []
        self.sourced_recipes: Set[str] = set()
        self.cookbook_paths: List[str] = []
        self.running = False

    def add_cookbook_path(self, *paths: Union[str, os.PathLike[str]]) -> None:
        """Folders, or dotted names of packages, that hold cookbooks; the first that has a cookbook wins."""
        for given in paths:
            path = os.fspath(given)
            if "." in path and not os.path.exists(path):
                path = os.path.dirname(os.path.abspath(str(__import__(path, {}, {}, [""]).__file__)))
            self.cookbook_paths.append(os.path.abspath(path))

    def register_cookbook(self, cookbook: Cookbook) -> None:
        self.update_config({key: about.get("default") for key, about in cookbook.config.items()}, overwrite=False)
        self.cookbooks[cookbook.name] = cookbook

    def load_cookbook(self, *names: str) -> None:
        for name in names:
            path = next(filter(os.path.isdir, (os.path.join(path, name) for path in self.cookbook_paths)), None)
            if path is None:
                raise Fail(
                    f"Cookbook {name} not found{suggest(name, self._known_cookbooks())}",
                    hint="searched: " + ", ".join(self.cookbook_paths),
                )
            self.register_cookbook(Cookbook(name, path))

    def cookbook(self, name: str) -> Cookbook:
        """The cookbook of that name, loaded if need be."""
        if name not in self.cookbooks:
            self.load_cookbook(name)
        found: Cookbook = self.cookbooks[name]
        return found

    def include_recipe(self, *names: str) -> None:
        """Have "book" (its default recipe) or "book.recipe" sourced, each once."""
        for name in names:
            book, _, recipe = name.partition(".")
            if name in self.included_recipes:
                continue
            self.included_recipes_order.append(name)
            self.included_recipes[name] = (self.cookbook(book), recipe or "default")
            if self.running:
                self.source_recipe(*self.included_recipes[name])

    def source_recipe(self, cookbook: Any, recipe: str) -> None:
        if isinstance(cookbook, str):
            cookbook = self.cookbook(cookbook)
        name = f"{cookbook.name}.{recipe}"
        if name in self.sourced_recipes:
            return
        path = cookbook.get_recipe(recipe)
        self.sourced_recipes.add(name)
        with self:
            cookbook.loader(self)
            cookbook.execute(path, {"env": self, "__name__": name})

    def prerun(self) -> None:
        """Source every included recipe: all resources are declared, none is run."""
        for name in self.included_recipes_order:  # grows while recipes include others
            self.source_recipe(*self.included_recipes[name])

    def declare(self) -> None:
        """prerun as a run does it: a recipe that includes another has it sourced on the spot."""
        before, self.running = self.running, True
        try:
            self.prerun()
        finally:
            self.running = before

    def run(self) -> None:
        self.declare()
        before, self.running = self.running, True
        try:
            super().run()
        finally:
            self.running = before

    def _known_cookbooks(self) -> List[str]:
        return [name for path in self.cookbook_paths if os.path.isdir(path) for name in os.listdir(path)]


def _fight(one: Any, other: Any) -> bool:
    """Whether what one writes at their path is what the other would write over."""
    if one.claims_path == other.claims_path:
        return bool(one.claims_path == "whole")
    whole = one if one.claims_path == "whole" else other
    return whole.arguments.get("content") is not None


_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
