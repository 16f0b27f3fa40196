"""A template's name and its variables go in, the rendered text comes out; the only importer of Jinja2."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Optional, Tuple

import jinja2
import jinja2.meta
import jinja2.nodes
from jinja2.bccache import Bucket, BytecodeCache

from kokki.exceptions import Fail
from kokki.paths import private_directory, state_path, write_atomically


class _Loader(jinja2.BaseLoader):
    """Templates by "book/name", also those that a template includes or extends."""

    def __init__(self, env: Any) -> None:
        self.env = env

    def get_source(self, _environment: jinja2.Environment, template: str) -> Tuple[str, str, Any]:
        book, _, name = template.partition("/")
        path = self.env.cookbook(book).file("templates", name)
        with open(path, encoding="utf-8") as stream:
            return stream.read(), path, lambda: True


class _Compiled(BytecodeCache):
    """Compiled templates, one file per template name, in a directory that only root may write."""

    def get_cache_key(self, name: str, _filename: Any = None) -> str:
        return name.replace("%", "%25").replace("/", "%2f")

    def load_bytecode(self, bucket: Bucket) -> None:
        try:
            with open(self._path(bucket), "rb") as stream:
                bucket.load_bytecode(stream)
        except OSError:
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        try:
            private_directory(state_path("templates"))
            write_atomically(self._path(bucket), bucket.bytecode_to_string())
        except OSError:
            pass  # it is a cache: without it templates are compiled anew

    def _path(self, bucket: Bucket) -> str:
        return os.path.join(state_path("templates"), bucket.key)


FACTS = {("config",), ("system",)}  # of env: plain data, or known not to be

_environments: Dict[int, jinja2.Environment] = {}


def render(env: Any, name: str, variables: Dict[str, Any]) -> str:
    """The template's text with exactly one newline at its end. Raises Fail that names template, line and cause."""
    try:
        text = _environment(env).get_template(name).render(variables)
    except jinja2.TemplateSyntaxError as error:
        raise Fail(f"template {error.name or name}, line {error.lineno}: {error.message}") from None
    except Fail:
        raise
    except Exception as error:  # whatever an expression of the template raises is told with its line
        raise Fail(f"template {name}{_line(error)}: {_words(error)}") from error
    return text.rstrip("\n") + "\n"


def reads(env: Any, name: str) -> Optional[List[str]]:
    """The dotted names whose values decide what a template makes, such as env.config.base.ssh_port.

    None if that can't be told: it reads other templates, or more of env than settings and facts, or draws lots.
    """
    environment = _environment(env)
    tree = environment.parse(_Loader(env).get_source(environment, name)[0])
    chance = any(found.name == "random" for found in tree.find_all(jinja2.nodes.Filter))
    if chance or any(True for _ in jinja2.meta.find_referenced_templates(tree)):
        return None
    dotted = {path if path[0] == "env" else path[:1] for path in _paths(tree)}
    if ("lipsum",) in dotted or any(path[0] == "env" and path[1:2] not in FACTS for path in dotted):
        return None
    return sorted(".".join(path) for path in dotted)


def _paths(node: jinja2.nodes.Node) -> Iterator[Tuple[str, ...]]:
    """Every name that is there, its own too, with what is asked of it: ("env", "config", "base"); a method is not."""
    if isinstance(node, jinja2.nodes.Call) and isinstance(node.node, jinja2.nodes.Getattr):
        yield from _paths(node.node.node)
        others = [child for child in node.iter_child_nodes() if child is not node.node]
    else:
        path = _path(node)
        if path is not None:
            yield path
            return
        others = list(node.iter_child_nodes())
    for child in others:
        yield from _paths(child)


def _path(node: jinja2.nodes.Node) -> Optional[Tuple[str, ...]]:
    if isinstance(node, jinja2.nodes.Name):
        return (node.name,)
    if isinstance(node, jinja2.nodes.Getattr):
        inner = _path(node.node)
        return None if inner is None else (*inner, node.attr)
    return None


def _environment(env: Any) -> jinja2.Environment:
    if id(env) not in _environments:
        _environments.clear()  # one kitchen at a time; an id may come again
        _environments[id(env)] = jinja2.Environment(
            loader=_Loader(env),
            autoescape=False,  # noqa: S701 - configuration files, not HTML
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
            bytecode_cache=_Compiled() if env.keeps_state else None,
            auto_reload=False,
        )
    return _environments[id(env)]


def _line(error: BaseException) -> str:
    """`, line 3` of the innermost template that the error came from."""
    import traceback

    found = [frame for frame in traceback.extract_tb(error.__traceback__) if f"{os.sep}templates{os.sep}" in frame[0]]
    return f", line {found[-1].lineno}" if found else ""


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, jinja2.UndefinedError) else f"{type(error).__name__}: {error}"
