"""A cookbook's template or file, or a URL, goes in; a callable that gives the content comes out."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Mapping, Optional, Union

from kokki.environment import Environment
from kokki.exceptions import Fail

Variables = Union[Mapping[str, Any], Callable[[], Mapping[str, Any]]]

__all__ = ["DownloadSource", "Source", "StaticFile", "Template"]


class Source:
    """Content that is made when it is needed. Two of the same description are equal."""

    def get_content(self) -> Union[str, bytes]:
        raise NotImplementedError

    def get_checksum(self) -> Optional[str]:
        return None

    def __call__(self) -> Union[str, bytes]:
        return self.get_content()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(type(self))

    def _identity(self) -> Any:
        return id(self)


class Template(Source):
    """templates/NAME of a cookbook, rendered by Jinja2 without autoescaping; ends in exactly one newline.

    A variable that is not set is an error that names template, line and variable. Where values are not known before
    earlier resources are there, a function gives the variables: it is called when the file's turn comes.
    """

    def __init__(self, name: str, variables: Optional[Variables] = None, env: Any = None) -> None:
        self.name = name
        self.env = env or Environment.get_instance()
        self.context: Variables = variables if callable(variables) else dict(variables or {})
        self.path = _find(self.env, name, "templates")

    def get_checksum(self) -> Optional[str]:
        """The content's sha256 where this server has rendered the same before; None where it has to be rendered."""
        from kokki.rendered import recall

        return recall(self.name, self.path, self._names()) if self.env.keeps_state else None

    def get_content(self) -> str:
        from kokki.templates import reads, render

        names = self._names()
        text = render(self.env, self.name, names)
        if self.env.keeps_state:
            from kokki.rendered import remember

            remember(self.name, self.path, lambda: reads(self.env, self.name), names, text)
        return text

    def _names(self) -> Dict[str, Any]:
        context = self.context() if callable(self.context) else self.context
        return {**context, "env": self.env, "repr": repr, "str": str, "bool": bool}

    def _identity(self) -> Any:
        return (self.name, self.context)


class StaticFile(Source):
    """files/NAME of a cookbook, byte for byte."""

    def __init__(self, name: str, env: Any = None) -> None:
        self.name = name
        self.env = env or Environment.get_instance()
        self.path = _find(self.env, name, "files")

    def get_content(self) -> bytes:
        with open(self.path, "rb") as stream:
            return stream.read()

    def _identity(self) -> Any:
        return self.name


class DownloadSource(Source):
    """What a URL gives, checked against sha256 (or md5sum) before anybody sees it; kept for later runs if cache."""

    def __init__(
        self,
        url: str,
        cache: bool = True,
        md5sum: Optional[str] = None,
        sha256: Optional[str] = None,
        env: Any = None,
    ) -> None:
        self.url = url
        self.cache = cache
        self.md5sum = md5sum
        self.sha256 = sha256
        self.env = env or Environment.get_instance()

    def get_checksum(self) -> Optional[str]:
        return self.sha256 or self.md5sum

    def get_content(self) -> bytes:
        from kokki.download import fetch

        return fetch(self.url, cache=self.cache, md5sum=self.md5sum, sha256=self.sha256)

    def _identity(self) -> Any:
        return (self.url, self.md5sum, self.sha256)


def _find(env: Any, name: str, folder: str) -> str:
    book, slash, inner = name.partition("/")
    if not slash or ".." in inner.split(os.sep):
        raise Fail(f"{name!r} names no file of a cookbook; write 'book/name'")
    return str(env.cookbook(book).file(folder, inner))
