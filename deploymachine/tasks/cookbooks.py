"""Tasks for people who write recipes: cookbook_new, cookbook_test:NAME, kokki_import."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.parser.argument import Argument
from invoke.tasks import Task

from deploymachine import cookbooks
from deploymachine.errors import UsageError
from deploymachine.tasks._deployment import directory
from deploymachine.tasks._task import task

NEW = "cookbook_new:"
IMAGE_HELP = "of the machine: debian-13 or debian-12"


def tasks(folder: Path) -> list[Task[Any]]:
    """One `cookbook_test:NAME` per cookbook; `cookbook_new:NAME` for the names on this very command line."""
    names = (word.removeprefix(NEW) for word in sys.argv[1:] if word.startswith(NEW))
    return [
        cookbook_new,
        cookbook_test,
        kokki_import,
        *(_new(name) for name in dict.fromkeys(names)),
        *(_test(name) for name in sorted(cookbooks.found(cookbooks.user_paths(folder)))),
    ]


@task(positional=["name"], help={"name": "lower-case letters, digits and '_'; also `fab cookbook_new:NAME`"})
def cookbook_new(_: Context, name: str) -> None:
    """Begin a cookbook of your own: settings, a recipe, a template and a test, ready to be cooked."""
    _begin(name)


def _new(name: str) -> Task[Any]:
    @task(name=f"{NEW}{name}")
    def begin(_: Context) -> None:
        """Begin a cookbook of your own."""
        _begin(name)

    return begin


def _begin(name: str) -> None:
    here = directory()
    folder, files = cookbooks.new(name, here)
    print(f"Made {folder}/ with {', '.join(files)}.")
    if folder.parent not in cookbooks.user_paths(here):
        print(f"Say in kokki-config.yaml where it is:\n  cookbook_paths: [{folder.parent.name}]")
    print(f"Next: put {name!r} into a role's recipes there, and try it with\n  fab cookbook_test:{name}")


@task(positional=["name"], help={"name": "of a cookbook; also `fab cookbook_test:NAME`", "image": IMAGE_HELP})
def cookbook_test(_: Context, name: str, image: str | None = None) -> None:
    """Apply a cookbook to a machine made for it: twice, then dry. The machine goes away again."""
    _try(name, image)


def _test(name: str) -> Task[Any]:
    @task(name=f"cookbook_test:{name}", help={"image": IMAGE_HELP})
    def test(_: Context, image: str | None = None) -> None:
        _try(name, image)

    test.__doc__ = f"Try {name} on a machine made for it."
    return test


def _try(name: str, image: str | None) -> None:
    from deploymachine.cookbook_test import check
    from deploymachine.report import report

    paths = cookbooks.user_paths(directory())
    folder = cookbooks.cookbook(name, paths)
    with devcloud() as place, report() as shown:
        outcome = check(folder, paths, place, shown, image)
    print(f"\n{name} on {outcome.image}: {len(outcome.changes)} of {outcome.count} declared resources changed it:")
    for line in outcome.changes:
        print(f"  {line}")
    print("Applied again it changed nothing, and a dry run wanted nothing.")


@contextmanager
def devcloud() -> Iterator[Path]:
    """A directory whose clouds.yaml names the cloud of this machine, which is brought up for as long as needed."""
    from deploymachine.devcloud import cloudsyaml, control

    was_up = control.status().url is not None
    with tempfile.TemporaryDirectory(prefix="cookbook-test-") as name:
        control.up(Path(name), _to_stderr)
        try:
            yield Path(name)
        finally:
            if was_up or control.status().rows:
                cloudsyaml.remove(Path(name))
            else:
                control.down(_to_stderr)


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


class _Paths(Task[Any]):
    """Takes every word up to the next option: Invoke itself has no task of as many arguments as one likes."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:  # noqa: ARG002 - Invoke's own signature
        words = sys.argv[sys.argv.index(self.name) + 1 :] if self.name in sys.argv else []
        options = [number for number, word in enumerate(words) if word.startswith("-")]
        count = max(1, min([len(words), *options]))
        into = Argument(name="into", help="the folder that the converted cookbooks go to", default="cookbooks")
        paths = [Argument(names=(f"path{number}",), positional=True, kind=str) for number in range(count)]
        return [*paths, into]


def _import(_: Context, into: str = "cookbooks", **paths: str) -> None:
    """Convert Python 2 cookbooks of Kokki into a folder of yours: `fab kokki_import PATH… [--into cookbooks]`."""
    from deploymachine.kokki_import import convert, shown

    if not paths:
        raise UsageError("Which cookbooks?", hint="fab kokki_import PATH…")
    print(shown(convert([Path(path) for path in paths.values()], directory() / into)))


kokki_import: Task[Any] = _Paths(task()(_import).body, name="kokki_import")
