"""Every example of docs/recipes.rst is written where its first line says, and sourced; its resource is run."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import kokki
import pytest
from kokki import Kitchen

DOCUMENT = Path(__file__).parents[3] / "docs" / "recipes.rst"
BLOCK = re.compile(r"^\.\. code-block:: (?:python|jinja)\n\n((?:    .*\n|\n)+)", re.MULTILINE)
PLACE = re.compile(r"(?:#|\{#) (\w+/\S+)")


def examples() -> list[tuple[str, str]]:
    texts = [textwrap.dedent(match[1]) for match in BLOCK.finditer(DOCUMENT.read_text())]
    return [(PLACE.match(text)[1], text) for text in texts]  # type: ignore[index]


def write(folder: Path, path: str, text: str) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    metadata = folder / path.split("/")[0] / "metadata.py"
    if not metadata.exists():
        metadata.write_text("")


def declared(folder: Path, *recipes: str, **config: object) -> Kitchen:
    kitchen = Kitchen()
    kitchen.add_cookbook_path(str(folder))
    kitchen.update_config(config)
    kitchen.include_recipe(*recipes)
    kitchen.declare()
    return kitchen


def test_each_recipe_declares_resources_at_its_place_on_the_page(tmp_path):
    recipes = 0
    for number, (path, _text) in enumerate(examples()):
        if "/recipes/" not in path:
            continue
        recipes += 1
        folder = tmp_path / str(number)
        book, _, name = path.removesuffix(".py").partition("/recipes/")
        # A recipe may stand before or after what it needs, as its text tells; never before its cookbook's metadata.
        for other, text in examples()[: number + 1]:
            write(folder, other, text)
        assert declared(folder, f"{book}.{name}").resource_list, path
    assert recipes >= 7


@pytest.fixture
def book(tmp_path):
    for path, text in examples():
        write(tmp_path, path, text)
    return tmp_path


def test_the_template_says_what_the_page_shows(book):
    kitchen = declared(book, "motd", **{"motd.contacts": [{"name": "Ada", "phone": "12"}]})
    with kitchen:
        lines = kitchen.resources["File"]["/etc/motd"].content().splitlines()
    assert lines[-2:] == [f"Welcome to {kitchen.system.hostname}. Be nice.", "Ada: 12"]


def test_the_resource_does_what_the_page_says(book, tmp_path, monkeypatch):
    adjtime = tmp_path / "adjtime"
    adjtime.write_text("0.0 0 0.0\n0\nLOCAL\n")
    tool = tmp_path / "bin" / "hwclock"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\n[ "$*" = "--systohc --utc" ] && echo UTC > {adjtime}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    told = []

    def run(dry_run: bool) -> str:
        kitchen = Kitchen(told.append, dry_run)
        kitchen.add_cookbook_path(str(book))
        with kitchen:
            kitchen.cookbook("clock").HardwareClock("utc", path=str(adjtime))
            kitchen.run()
        return f"{told[-1]['state']} {'; '.join(told[-1]['changes'])}"

    assert [run(True), run(False), run(False)] == [
        "would-change clock local -> utc",
        "changed clock local -> utc",
        "ok ",
    ]
    with Kitchen() as kitchen:
        kitchen.add_cookbook_path(str(book))
        with pytest.raises(kokki.InvalidArgument, match="mode is utc or local, not 'moon'"):
            kitchen.cookbook("clock").HardwareClock("moon")


def test_the_table_names_every_resource_and_argument():
    rows = DOCUMENT.read_text().split("All resources\n")[1]
    types = [value for value in vars(kokki).values() if isinstance(value, type) and issubclass(value, kokki.Resource)]
    assert [made.__name__ for made in types if made is not kokki.Resource and f"``{made.__name__}``" not in rows] == []
