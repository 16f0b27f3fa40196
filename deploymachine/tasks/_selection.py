"""Which servers the next task is about: selecting tasks add to it, the first acting task after them ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deploymachine.errors import UsageError
from deploymachine.inventory import Inventory, Server

Choose = Callable[[Inventory], tuple[Server, ...]]


@dataclass
class _Sentence:
    """What the command line said so far: `fab appnode dbserver kokki` selects two types, then acts on both."""

    words: list[tuple[str, Choose]]
    acted: bool = False


_sentence = _Sentence([])


def select(word: str, choose: Choose) -> None:
    """A selecting task was named. After an acting task a new sentence begins."""
    if _sentence.acted:
        _sentence.words.clear()
        _sentence.acted = False
    _sentence.words.append((word, choose))


def selected(inventory: Inventory) -> list[Server]:
    """The servers that the sentence selects, each once. Raises UsageError where it selects none."""
    _sentence.acted = True
    if not _sentence.words:
        raise UsageError(
            "No servers were selected",
            why="a task that acts on servers comes after one that says on which",
            hint="for example `fab appnode launch`, `fab everything kokki` or `fab server:appnode1 kokki`",
        )
    found = {server.name: server for _, choose in _sentence.words for server in choose(inventory)}
    if not found:
        raise UsageError(
            f"There is no server to do this on: {' '.join(word for word, _ in _sentence.words)} selects none",
            why="the servers there are: " + (", ".join(f"{s.name} ({s.type})" for s in inventory) or "none"),
            hint="`fab openstack_bootem` boots what OPENSTACK_SERVERS in settings.py names",
        )
    return list(found.values())


def selected_or_none(inventory: Inventory) -> list[Server] | None:
    """As `selected`, for a task that means every server where none is named: None then."""
    return selected(inventory) if _sentence.words and not _sentence.acted else None


def forget() -> None:
    """Begin anew, as a new command line does."""
    _sentence.words.clear()
    _sentence.acted = False
