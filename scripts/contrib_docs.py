"""The docstrings of contrib's tasks in, docs/contrib.rst out; with --print it is shown and not written."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from invoke.collection import Collection
from invoke.tasks import Task

PAGE = Path(__file__).resolve().parents[1] / "docs" / "contrib.rst"
WIDTH = 120
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
HEAD = """\
Tasks for every day
===================

Each task does one thing on the selected servers, all at once; what they say has the server in front. Tasks can be
chained, and ``fab --help TASK`` says of each what stands here. This page is made of their docstrings, by
``scripts/contrib_docs.py``.

.. contents::
   :local:
   :depth: 1

Tasks of your own
-----------------

What ``fab_local.py`` beside ``settings.py`` defines appears in ``fab --list``. ``fab_local.example.py`` shows a site's
own deploy, a nightly dump pulled home, data loaded, and how a stock task is replaced: by one of the same name, which
for a task of this page is said as ``@task(name="nginx.reload")``. The functions of this page are called as any other::

    from deploymachine.contrib import django, git, supervisor

    @task
    def publish(c):
        git.pull(c, site="guestbook")
        django.migrate(c, site="guestbook")
        supervisor.restart(c, site="guestbook")

The tab key
-----------

``fab completion bash`` prints what has bash complete tasks, options, servers, sites and environments; put it into
``~/.bashrc``. There is one for zsh (``~/.zshrc``, after ``compinit``) and for fish
(``~/.config/fish/completions/fab.fish``), too.
"""


def modules() -> list[ModuleType]:
    """Every module of contrib that has tasks, by name."""
    from deploymachine import contrib

    names = sorted(module.name for module in pkgutil.iter_modules(contrib.__path__) if not module.name.startswith("_"))
    return [importlib.import_module(f"{contrib.__name__}.{name}") for name in names]


def page() -> str:
    """The whole page, reStructuredText."""
    return "\n".join([HEAD, *(line for module in modules() for line in _module(module))]).rstrip() + "\n"


def _module(module: ModuleType) -> Iterator[str]:
    name = module.__name__.rpartition(".")[2]
    yield from (name, "-" * len(name), "", *_paragraphs(module.__doc__ or "", ""))
    collection = Collection.from_module(module, auto_dash_names=False)
    for task_name in sorted(collection.tasks):
        yield from _task(f"{name}.{task_name}", collection.tasks[task_name])


def _task(called: str, task: Task[Any]) -> Iterator[str]:
    yield f"``{called}``"
    yield from _paragraphs(task.__doc__ or "", "    ")
    options = task.get_arguments()
    for one in options:
        name = one.name or ""
        option = name if one.positional else f"--{name.replace('_', '-')}"
        yield from _filled(f"* ``{option}``: {one.help or ''}", "    ", "      ")
    if options:
        yield ""


def _paragraphs(text: str, indent: str) -> Iterator[str]:
    """Filled lines, a blank one after each paragraph."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        yield from _filled(CODE.sub(r"``\1``", paragraph), indent, indent)
        yield ""


def _filled(text: str, first: str, further: str) -> list[str]:
    lines = textwrap.wrap(
        " ".join(text.split()),
        WIDTH,
        initial_indent=first,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [first.rstrip()]


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        print(page(), end="")
    else:
        PAGE.write_text(page(), encoding="utf-8")
