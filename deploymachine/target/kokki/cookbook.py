"""A cookbook's folder goes in; its settings, loader, library and recipes come out."""

from __future__ import annotations

import os
from importlib.machinery import SourceFileLoader
from typing import Any, Callable, Dict, List

from kokki.config import AttributeDictionary
from kokki.exceptions import Fail, suggest
from kokki.system import System

# Path of each cookbook file that was run -> how messages name it: book/recipes/default.py
SHORT_NAMES: Dict[str, str] = {}


class Cookbook:
    """NAME/ with metadata.py, recipes/, libraries/, templates/, files/; things of its library are attributes."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = path
        self._meta: Dict[str, Any] = {}
        self._library: Dict[str, Any] = {}

    @property
    def meta(self) -> Dict[str, Any]:
        if not self._meta:
            self._meta = {"system": System.get_instance(), "__name__": f"{self.name}.metadata"}
            self.execute("metadata.py", self._meta)
        return self._meta

    @property
    def config(self) -> Dict[str, Dict[str, Any]]:
        found: Dict[str, Dict[str, Any]] = self.meta.get("__config__", {})
        return found

    @property
    def loader(self) -> Callable[[Any], None]:
        found: Callable[[Any], None] = self.meta.get("__loader__", lambda _kit: None)
        return found

    @property
    def library(self) -> AttributeDictionary:
        if not self._library:
            self._library = {"__name__": f"{self.name}.libraries"}
            for name in self.names("libraries", ".py"):
                self.execute(f"libraries/{name}.py", self._library)
        return AttributeDictionary(self._library, self.name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        library = self.library
        if name not in library:
            raise AttributeError(f"The library of cookbook {self.name} has no {name}{suggest(name, library)}")
        return library[name]

    def names(self, folder: str, ending: str = "") -> List[str]:
        """What lies in one of its folders, sorted, without the ending."""
        try:
            found = os.listdir(os.path.join(self.path, folder))
        except FileNotFoundError:
            return []
        return sorted(name[: len(name) - len(ending)] for name in found if name.endswith(ending))

    def get_recipe(self, name: str) -> str:
        """The path of a recipe within the cookbook."""
        if not os.path.exists(os.path.join(self.path, "recipes", f"{name}.py")):
            known = self.names("recipes", ".py")
            raise Fail(f"Recipe {name} in cookbook {self.name} not found{suggest(name, known)}")
        return f"recipes/{name}.py"

    def file(self, folder: str, name: str) -> str:
        """The absolute path of a template or file that must be there."""
        path = os.path.join(self.path, folder, name)
        if not os.path.isfile(path):
            raise Fail(f"{self.name}/{folder}/{name} not found{suggest(name, self.names(folder))}")
        return path

    def execute(self, name: str, names: Dict[str, Any]) -> None:
        """Run one of its Python files with the given globals, byte-compiled as an import would be."""
        path = os.path.join(self.path, name)
        SHORT_NAMES[path] = f"{self.name}/{name}"
        code = SourceFileLoader(name, path).get_code(name)
        exec(code, names)  # type: ignore[arg-type]  # noqa: S102 - what recipes are for

    def __repr__(self) -> str:
        return f"Cookbook[{self.name}]"
