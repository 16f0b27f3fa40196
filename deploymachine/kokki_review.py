"""A converted cookbook file in, what a person should look at in it out: what no converter can decide."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from deploymachine.bundle import TARGET

BYTES = "its output is bytes in Python 3: decode it, or say text=True"
BYTES_CALLS = {"Popen", "check_output", "urlopen"}
GONE_NAMES = {
    "cmp": "cmp() is gone: compare, or sort with key=",
    "file": "file() is gone: open()",
    "reload": "reload() is importlib.reload() now",
}
OLD_PATHS = {
    "/etc/init/": "upstart is gone: SystemdUnit makes a unit",
    "/etc/init.d/": "today's servers run systemd: Service and SystemdUnit",
    "apt-key ": "apt-key is gone: AptRepository brings a source with its key",
}
PYTHON_2_IN_TEMPLATES = re.compile(rb"\.(iteritems|iterkeys|itervalues|has_key)\b")


@dataclass(frozen=True)
class Note:
    """where: book/recipes/x.py:12.  text: what to look at."""

    where: str
    text: str


def review(name: str, text: str) -> list[Note]:
    """What to look at in a Python file (valid Python 3), in the order of its lines, each once."""
    found = {
        (getattr(node, "lineno", 1), words)
        for node in ast.walk(ast.parse(text))
        for look in (_imports, _calls, _divisions, _paths)
        for words in look(node)
    }
    return [Note(f"{name}:{line}", words) for line, words in sorted(found)]


def review_template(name: str, text: bytes) -> list[Note]:
    """Methods of Python 2's dicts that a template uses."""
    return [
        Note(f"{name}:{number}", f".{match[1].decode()}() is gone from dicts")
        for number, line in enumerate(text.splitlines(), 1)
        for match in PYTHON_2_IN_TEMPLATES.finditer(line)
    ]


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _module(alias.name)
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield from _module(node.module)


def _module(name: str) -> Iterator[str]:
    top = name.partition(".")[0]
    if top == "kokki":
        path = TARGET / name.replace(".", "/")
        if not path.is_dir() and not path.with_suffix(".py").is_file():
            yield f"the engine has no {name}"
    elif top not in sys.stdlib_module_names and top != "jinja2":
        yield f"{top} must be installed for the server's own python3: the engine brings none of it"


def _calls(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    words = {keyword.arg for keyword in node.keywords}
    if called in BYTES_CALLS and words.isdisjoint({"text", "universal_newlines", "encoding"}):
        yield f"{called}: {BYTES}"
    if isinstance(node.func, ast.Name) and called in GONE_NAMES:
        yield GONE_NAMES[called]


def _divisions(node: ast.AST) -> Iterator[str]:
    operator = getattr(node, "op", None) if isinstance(node, (ast.BinOp, ast.AugAssign)) else None
    if isinstance(operator, ast.Div):
        yield "/ gives a fraction in Python 3: // where whole numbers were meant"


def _paths(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from (words for path, words in OLD_PATHS.items() if path in node.value)
