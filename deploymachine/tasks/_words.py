"""The words behind split, merge and move on the command line in, the servers, types and names that they mean out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from invoke.parser.argument import Argument
from invoke.tasks import Task

from deploymachine.errors import UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.tasks._selection import selected_or_none
from deploymachine.tasks._task import task


class _Words(Task[Any]):
    """Its body takes `words`, a list, perhaps an empty one: all that follows the task up to the first option."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        others = [one for one in super().get_arguments(ignore_unknown_help) if one.name != "words"]
        after = sys.argv[sys.argv.index(self.name) + 1 :] if self.name in sys.argv else []
        count = next((number for number, word in enumerate(after) if word.startswith("-")), len(after))
        named = [Argument(name=f"word{number}", positional=True, kind=str) for number in range(1, count + 1)]
        return [*named, *others]

    def __call__(self, *args: Any, **options: Any) -> Any:
        given = sorted(
            (key for key in options if key[:4] == "word" and key[4:].isdigit()), key=lambda key: int(key[4:])
        )
        return super().__call__(*args, words=[options.pop(key) for key in given], **options)


def worded(**options: Any) -> Callable[[Callable[..., Any]], Task[Any]]:
    """As @task(), for a body with an argument `words`: `fab TASK`, `fab TASK WORD...`."""

    def made(body: Callable[..., Any]) -> Task[Any]:
        return _Words(
            task(positional=["words"], **options)(body).body, name=body.__name__, positional=["words"], **options
        )

    return made


def one_of(word: str, server: str, inventory: Inventory) -> Server:
    """The server of that type or name. Raises UsageError where it is not one."""
    from deploymachine import servertypes

    if word not in servertypes.names():
        return inventory.named(word)
    found = inventory.of_type(word)
    if server:
        found = tuple(one for one in found if one == inventory.named(server))
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.name for one in found)
    raise UsageError(
        f"Which {word}?" if found else f"There is no {word}" + (f" called {server}" if server else ""),
        why=f"there are {names}"
        if found
        else f"there are {', '.join(f'{s.name} ({s.type})' for s in inventory) or 'none'}",
        hint=f"say its name: `--server {found[0].name}`" if found else None,
    )


def moved(words: Sequence[str], server: str, inventory: Inventory) -> Server:
    """Who moves: named behind the task, or selected before it."""
    chosen = selected_or_none(inventory) or []
    if server:
        chosen = [one for one in chosen if one.name == server] or chosen
    if len(words) == 1 and not chosen:
        return one_of(words[0], server, inventory)
    if not words and len(chosen) == 1:
        return chosen[0]
    raise UsageError(
        "A move is of one server" + (f", not of {', '.join(one.name for one in chosen)}" if chosen else ""),
        hint="`fab move dbserver --to dbserver2`, or with its name: `fab move appnode1 --to appnode3`",
    )


def listed(text: str) -> list[str]:
    """ "a,b" as a list."""
    return [word for word in text.split(",") if word]


def pairs(text: str) -> dict[str, str]:
    """ "dbserver=db9,appnode=app4" as a dictionary. Raises UsageError."""
    pairs = [word.partition("=") for word in listed(text)]
    if any(not sign or not kind or not name for kind, sign, name in pairs):
        raise UsageError(
            f"--names {text} can't be read", hint="a type and a name each: --names dbserver=db9,appnode=app4"
        )
    return {kind: name for kind, _, name in pairs}
