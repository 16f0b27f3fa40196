"""A fleet's site in, another release of it out, which says so on its page; and what visitors are told by whom."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from fleet import Fleet


def nodes(fleet: Fleet) -> list[str]:
    return sorted(server.name for server in fleet.inventory().serving("appnode"))


def trust(fleet: Fleet) -> Path:
    return fleet.directory / ".deploymachine/certificates/guestbook.pem"


def change(fleet: Fleet, word: str) -> str:
    """Commit a page that says so; the commit."""
    page = fleet.site / "entries/templates/entries/book.html"
    text = re.sub(r"<!-- release .*? -->\n", "", page.read_text())
    page.write_text(re.sub(r"(</body>|\Z)", f"<!-- release {word} -->\n\\1", text, count=1))
    fleet.commit(word)
    return fleet.git("rev-parse", "--short=8", "HEAD").strip()


def said(fleet: Fleet) -> set[str]:
    """What the pages of all appnodes say."""
    pages = [fleet.get().text for _ in range(3 * len(nodes(fleet)))]  # type: ignore[attr-defined]
    return {found[1] if (found := re.search("<!-- release (.*?) -->", page)) else "" for page in pages}


def patient(fleet: Fleet) -> AbstractContextManager[None]:
    """Releases are given time until they answer: the machines share this one's processors."""
    return fleet.edited("settings.py", '"health_timeout": 30,', '"health_timeout": 180,')


@contextmanager
def signing(fleet: Fleet) -> Iterator[dict[str, int]]:
    """Somebody signs the book again and again, never twice the same; what was answered to each message."""
    answers: dict[str, int] = {}
    nobody_elses = secrets.token_hex(4)
    over = threading.Event()

    def sign() -> None:
        while not over.wait(0.05):
            message = f"signature {nobody_elses} {len(answers)}"
            answers[message] = 0
            answers[message] = fleet.sign("Ada", message).status

    writer = threading.Thread(target=sign)
    writer.start()
    try:
        yield answers
    finally:
        over.set()
        writer.join()
