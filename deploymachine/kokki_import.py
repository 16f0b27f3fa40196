"""Folders of Python 2 cookbooks in, the same for this engine out, with a list of what still needs a person."""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploymachine.errors import DeployMachineError, UsageError
from deploymachine.kokki_review import Note, review, review_template

# fix_import would turn a library's `import x` into `from . import x`: cookbooks are no packages.
LEFT_OUT = {"fissix.fixes.fix_import"}
NOT_COPIED = {"__pycache__", ".git", ".hg", ".svn"}
NOT_COPIED_SUFFIXES = {".pyc", ".pyo", ".swp", ".orig"}


@dataclass(frozen=True)
class Imported:
    """target: where the cookbooks are now. python: files that were converted. others: copied as they are."""

    target: Path
    cookbooks: tuple[str, ...]
    python: int
    others: int
    notes: tuple[Note, ...]


def convert(sources: Sequence[Path], target: Path) -> Imported:
    """Convert cookbooks, or folders of them, into `target`/NAME. Raises UsageError before anything is written."""
    refactor = _refactoring()
    cookbooks = dict(_found(sources))
    if taken := [name for name in cookbooks if (target / name).exists()]:
        raise UsageError(
            f"{', '.join(taken)} {'is' if len(taken) == 1 else 'are'} there already",
            where=str(target),
            why="nothing is overwritten",
            hint="name another folder with --into, or move those away",
        )
    notes: list[Note] = []
    python = others = 0
    for name, folder in cookbooks.items():
        for path in _files(folder):
            inside = path.relative_to(folder)
            there = target / name / inside
            there.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".py":
                python += 1
                notes += _python(refactor, path, there, f"{name}/{inside}")
            else:
                others += 1
                shutil.copy(path, there)
                notes += review_template(f"{name}/{inside}", path.read_bytes()) if "templates" in inside.parts else []
    return Imported(target, tuple(cookbooks), python, others, tuple(notes))


def shown(imported: Imported) -> str:
    """What was done, and what is left to do, for a person."""
    names = ", ".join(imported.cookbooks)
    lines = [
        f"Converted {names} into {imported.target}: {imported.python} Python files, {imported.others} others copied.",
        "Name that folder in cookbook_paths of kokki-config.yaml.",
    ]
    if imported.notes:
        lines += ["", "What still needs a person:", *(f"  {note.where}: {note.text}" for note in imported.notes)]
    return "\n".join(lines)


def _found(sources: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    for source in sources:
        if not source.is_dir():
            raise UsageError("There is no such folder", where=str(source))
        inside = [path for path in sorted(source.iterdir()) if _is_cookbook(path)]
        if not inside and not _is_cookbook(source):
            raise UsageError(
                "There is no cookbook in this folder",
                where=str(source),
                why="a cookbook is a folder with metadata.py or recipes/",
            )
        yield from ((path.name, path) for path in ([source.resolve()] if _is_cookbook(source) else inside))


def _is_cookbook(path: Path) -> bool:
    return (path / "metadata.py").is_file() or (path / "recipes").is_dir()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        ours = NOT_COPIED.isdisjoint(path.relative_to(folder).parts) and path.suffix not in NOT_COPIED_SUFFIXES
        if ours and path.is_file():
            yield path


def _python(refactor: Any, path: Path, there: Path, name: str) -> list[Note]:
    """Convert one file; where that can't be done it is copied as it is, and a note says so."""
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    refactor.fixer_log.clear()
    try:
        # The grammar wants a last newline.
        made = str(refactor.refactor_string(text if text.endswith("\n") else f"{text}\n", name))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a file warns of it warned of before
            compile(made, name, "exec")
    except Exception as error:  # fissix raises errors of its own, the compiler SyntaxError or ValueError
        there.write_text(text, encoding="utf-8", errors="surrogateescape")
        line = getattr(error, "lineno", None) or 1
        return [Note(f"{name}:{line}", f"could not be converted and was copied as it is: {_short(error)}")]
    there.write_text(made, encoding="utf-8", errors="surrogateescape")
    shutil.copymode(path, there)
    return [*(Note(name, str(said)) for said in refactor.fixer_log), *review(name, made)]


def _short(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _refactoring() -> Any:
    """fissix, a well-kept 2to3, with the fixers that suit cookbooks."""
    try:
        refactor = importlib.import_module("fissix.refactor")
    except ImportError:
        raise UsageError(
            "Converting cookbooks needs fissix, which is not installed",
            where=sys.prefix,
            hint="pip install 'deploymachine[import]'",
        ) from None
    fixers = set(refactor.get_fixers_from_package("fissix.fixes")) - LEFT_OUT
    return refactor.RefactoringTool(sorted(fixers))


def main(words: Sequence[str] | None = None) -> int:
    """`python -m deploymachine.kokki_import PATH… [--into FOLDER]`. Gives the exit code."""
    parser = argparse.ArgumentParser("kokki_import", description="Convert Python 2 cookbooks of Kokki.")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a cookbook, or a folder of cookbooks")
    parser.add_argument("--into", type=Path, default=Path("cookbooks"), help="where they go (cookbooks)")
    options = parser.parse_args(words)
    try:
        print(shown(convert(options.paths, options.into)))
    except DeployMachineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
