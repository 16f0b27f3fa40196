"""Dotted settings go in; recipes read them as `env.config.nginx.user`, and an unset name says which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kokki.exceptions import suggest

# `copy` of the copy protocol and the likes ask for these; answering with a setting's error would only confuse them.
_PROTOCOL = ("__",)


class AttributeDictionary(dict):  # type: ignore[type-arg]
    """A dict whose keys are attributes too; dicts put into it become the same, and know their dotted path."""

    __slots__ = ("_path",)

    def __init__(self, values: Mapping[str, Any] = {}, path: str = "") -> None:  # only read
        super().__init__()
        object.__setattr__(self, "_path", path)
        for key, value in values.items():
            self[key] = value

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, dict) and not isinstance(value, AttributeDictionary):
            value = AttributeDictionary(value, self._dotted(key))
        super().__setitem__(key, value)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            if name.startswith(_PROTOCOL):
                raise AttributeError(name) from None
            raise AttributeError(f"{self._dotted(name)} is not set{suggest(name, self)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __reduce__(self) -> Any:
        return (AttributeDictionary, (dict(self), self._path))

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def copy(self) -> AttributeDictionary:
        return AttributeDictionary(self, self._path)

    def _dotted(self, key: Any) -> str:
        return f"{self._path}.{key}" if self._path else str(key)


def assign(config: AttributeDictionary, dotted: str, value: Any, overwrite: bool = True) -> None:
    """Set `a.b.c` in config, making what is missing on the way."""
    *parents, last = dotted.split(".")
    for part in parents:
        if not isinstance(config.get(part), AttributeDictionary):
            if part in config and not overwrite:
                return
            config[part] = {}
        config = config[part]
    if overwrite or last not in config:
        config[last] = value
