"""README and docs say what is there: every command, setting, path and link of theirs is looked up."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.parser import ParseError, Parser
from invoke.parser.parser import ParseMachine

from deploymachine import openstack_compute, servertypes
from deploymachine.settings import Database, Settings, Site
from deploymachine.tasks import _deployment, namespace

ROOT = Path(__file__).resolve().parents[3]
PAGES = [*ROOT.glob("*.rst"), *ROOT.glob("*/*.rst"), *ROOT.glob("examples/*/*.rst")]
COMMAND = re.compile(r"(?:``|^ +\$? ?)(?:[A-Z_]+=\S+ )*(fab|make|openstack-compute) ([^`\n#]+)", re.MULTILINE)
PLACEHOLDERS = {"TYPE": "appnode", "NAME": "appnode1"}
OPENSTACKS_OWN = {"console", "server"}  # commands that openstack-compute passes on
WORDED = {"split", "merge", "move"}
TOP = {path.name for path in ROOT.iterdir() if path.is_dir()}


def page(path: Path) -> str:
    return str(path.relative_to(ROOT))


def page_text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands(tool: str) -> list[tuple[str, str]]:
    """(page, words after the tool) of every command that is shown."""
    found = [(page(path), match) for path in PAGES for match in COMMAND.finditer(path.read_text(encoding="utf-8"))]
    return [(name, match[2].split("    ")[0].strip()) for name, match in found if match[1] == tool]


def words_in_capitals(text: str) -> set[str]:
    """NAMES_LIKE_THIS, and those without an underscore where they are marked as literals."""
    return {*re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]\b", text), *re.findall(r"``([A-Z][A-Z0-9]{3,})``", text)}


@pytest.fixture
def tasks(tmp_path, monkeypatch) -> Collection:
    """The namespace of a deployment with the packaged settings, and of one for trying things beside it."""
    monkeypatch.setattr(_deployment, "_directory", Path())
    monkeypatch.setattr(ParseMachine, "error", ParseMachine.error)
    shutil.copy(ROOT / "settings.py.dist", tmp_path / "settings.py")
    (tmp_path / "settings_staging.py").write_text('from settings import *\nDEPLOYMENT = "staging"\n')
    return namespace(tmp_path / "fabfile.py")


def test_the_pages_are_found():
    assert {"README.rst", "CHANGELOG.rst", "docs/howitworks.rst", "bench/README.rst"} <= set(map(page, PAGES))
    assert len(commands("fab")) > 40


def test_every_fab_command_can_be_typed(tasks, monkeypatch):
    every = Parser(contexts=tasks.to_contexts())
    for where, line in commands("fab"):
        words = [re.sub("|".join(PLACEHOLDERS), lambda match: PLACEHOLDERS[match[0]], w) for w in shlex.split(line)]
        if words[0].startswith("-"):  # fab's own options
            continue
        monkeypatch.setattr(sys, "argv", ["fab", *words])  # tasks that take words of their own look there
        parser = Parser(contexts=tasks.to_contexts()) if WORDED & {*words} else every
        try:
            parser.parse_argv(words)
        except ParseError as error:
            pytest.fail(f"{where}: `fab {line}`: {error}")


def test_every_make_target_and_openstack_compute_command_is_there():
    targets = re.findall(r"^([a-z-]+):", page_text("Makefile"), re.MULTILINE)
    assert [(where, line) for where, line in commands("make") if line.split()[0] not in targets] == []
    known = {*re.findall(r"[a-z-]+", openstack_compute.USAGE), *OPENSTACKS_OWN}
    assert [(where, line) for where, line in commands("openstack-compute") if line.split()[0] not in known] == []


def test_every_name_in_capitals_is_a_setting_or_stands_in_the_code():
    settings = {name for model in (Settings, Site, Database) for name in model.model_fields}
    tops = ("deploymachine", "contrib", "examples", "tests/openstack", "tests/devcloud")
    sources = [path for top in tops for path in (ROOT / top).rglob("*.py")]
    known = {name for path in sources for name in re.findall(r"\b[A-Z][A-Z0-9_]+\b", path.read_text(encoding="utf-8"))}
    for path in PAGES:
        names = words_in_capitals(path.read_text(encoding="utf-8"))
        assert names - settings - known - set(PLACEHOLDERS) == set(), page(path)


def test_every_local_link_leads_somewhere():
    for path in PAGES:
        for target in re.findall(r"<([^>`\s]+)>`_", path.read_text(encoding="utf-8")):
            assert "://" in target or (path.parent / target).exists(), f"{page(path)}: {target}"


def test_every_path_of_the_project_exists():
    for path in PAGES:
        for literal in re.findall(r"``([\w.*/-]+/[\w.*-]*)``", path.read_text(encoding="utf-8")):
            if literal.split("/")[0] in TOP and not re.search(r"\b[A-Z]{4,}\b(?!\.rst)", literal):
                assert any(ROOT.glob(literal.rstrip("/"))), f"{page(path)}: {literal}"


def test_the_house_is_as_drawn():
    drawn = page_text("docs/design.rst").partition("The house\n")[2]
    missing = [path for path in house(drawn) if "NAME" not in path and not (ROOT / path).exists()]
    assert missing == []


def house(text: str) -> Iterator[str]:
    """The paths of an indented tree: names at the line's start, up to two spaces or the line's end."""
    above: dict[int, str] = {}
    for line in re.search(r"::\n\n((?: .*\n|\n)+)", text)[1].splitlines():
        depth = len(line) - len(line.lstrip())
        if line.strip() and depth < 12:  # deeper lines go on with the text of the line above
            base = next((above[d] for d in range(depth - 2, 3, -2) if d in above), "")
            names = [base + name for name in line.strip().split("  ")[0].split()]
            above[depth] = names[-1] if names[-1].endswith("/") else base
            yield from names


def test_every_server_type_is_introduced():
    pages = page_text("README.rst") + page_text("docs/servertypes.rst")
    assert [kind for kind in servertypes.names() if f"\n``{kind}``" not in pages] == []


def test_every_event_is_explained():
    sources = [path for path in (ROOT / "deploymachine").rglob("*.py") if "devcloud" not in path.parts]
    told = {kind for path in sources for kind in re.findall(r'"event": "([a-z-]+)"', path.read_text(encoding="utf-8"))}
    explained = set(re.findall(r"``([a-z-]+)``|\"event\": \"([a-z-]+)\"", page_text("docs/events.rst")))
    assert told - {name for pair in explained for name in pair} == set()
    assert len(told) > 8


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(prefix: str) -> set[str]:
    """Modules of the package, without the first directory, that import something below `prefix`."""
    package = ROOT / "deploymachine"
    found = (path for path in package.rglob("*.py") if any(f"{name}.".startswith(prefix) for name in imported(path)))
    return {str(path.relative_to(package)) for path in found}


def test_both_walls_stand():
    assert {path for path in importers("deploymachine.") if path.startswith("target/")} == set()
    outside = {path for path in importers("deploymachine.devcloud.") if not path.startswith("devcloud/")}
    assert {path.split("/")[0] for path in outside} == {"tasks"}
    assert {path.split("/")[0] for path in importers("openstack.")} == {"cloud"}
