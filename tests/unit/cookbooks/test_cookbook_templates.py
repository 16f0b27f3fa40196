"""Every template of ours: what it made is known the next time, so that a server that is right never starts Jinja2."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from kokki import Template
from kokki.secrets import reveal

from deploymachine.cookbooks import OURS

ANSWERS = {"nginx.version": lambda: (1, 26, 3), "postgresql.version": lambda: "17"}
BOOKS = sorted(path.parent for path in OURS.glob("*/test.yaml"))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in ("templates", "rendered"):
        monkeypatch.setattr(f"kokki.{module}.state_path", lambda name: str(tmp_path / name))


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
def test_what_it_made_is_known_the_next_time(book, declare, here):
    told = yaml.safe_load((book / "test.yaml").read_text())
    answers = {name: answer for name, answer in ANSWERS.items() if name.startswith(f"{book.name}.")}
    kitchen = declare(*told["recipes"], library=answers, **reveal(told.get("attributes", {})))
    kitchen.keeps_state = True
    contents = [getattr(resource, "content", None) for resource in kitchen.resource_list]
    templates = [content for content in contents if isinstance(content, Template)]
    with kitchen:
        made = {template.name: sha256(template.get_content().encode()).hexdigest() for template in templates}
        known = {template.name: template.get_checksum() for template in templates}
    assert known.keys() == made.keys()
    assert [name for name, checksum in known.items() if checksum is None] == []


@pytest.mark.parametrize("path", sorted(OURS.glob("*/templates/*.j2")), ids=lambda path: path.name)
def test_what_it_reads_is_known(path, declare):
    from kokki.templates import reads

    assert reads(declare(), f"{path.parent.parent.name}/{path.name}") is not None
