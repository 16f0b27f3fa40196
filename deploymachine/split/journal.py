"""How far a change of servers has come: kept here, and on the servers it is about, before and after every step.

It holds no secret. The file here is the truth; the copies are for another machine that has to go on, and so that two
machines do not begin at once.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from deploymachine.cook import ask, sudo_password
from deploymachine.errors import DeployMachineError, UsageError
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment
from deploymachine.settings import Settings
from deploymachine.split.moves import Move
from deploymachine.split.part import DATABASE
from deploymachine.split.shapes import COMMAND, Change, Newcomer
from deploymachine.ssh import connect, login, on_each

VERSION = 1
GOING, BACK, DONE = "going", "back", "done"


@dataclass(frozen=True)
class Journal:
    """One change. id: when and by whom it was begun. state: GOING, BACK (it is undone), DONE (but not finished).

    done: names of steps. now: the one that was begun last, "" where none is. primary: who led in the databases.
    """

    id: str
    change: Change
    moves: tuple[Move, ...]
    primary: str = ""
    state: str = GOING
    done: tuple[str, ...] = ()
    now: str = ""
    said: str = ""

    @property
    def command(self) -> str:
        """The task that goes on with it."""
        return COMMAND[self.change.verb]

    def begun(self, step: str) -> Journal:
        return replace(self, now=step, said="")

    def ended(self, step: str) -> Journal:
        return replace(self, now="", done=(*self.done, step))

    def undone(self, step: str) -> Journal:
        return replace(self, now="", done=tuple(one for one in self.done if one != step))

    @property
    def leads(self) -> str:
        """The name of who leads in the databases by now; "" where nobody does."""
        taken = [move.new for move in self.moves if move.part == DATABASE and move.step in self.done]
        return next(iter(taken), self.primary)

    @property
    def switched(self) -> tuple[str, ...]:
        """The parts that others do already."""
        left = {move.part for move in self.moves if move.step not in self.done}
        return tuple(dict.fromkeys(move.part for move in self.moves if move.part not in left))


def new(change: Change, moves: Iterable[Move], primary: str) -> Journal:
    """A journal of a change that is about to begin."""
    who = f"{getpass.getuser()}@{socket.gethostname()}"
    return Journal(f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ} {who}", change, tuple(moves), primary)


def read(settings: Settings) -> Journal | None:
    """The journal here; None where nothing is under way. Raises UsageError for one that can't be read."""
    path = _path(settings)
    try:
        return parsed(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError) as error:
        raise UsageError(
            "The journal of a split can't be read",
            where=str(path),
            why=str(error),
            hint="put that file away: a copy is on the servers it is about, and --resume finds it there",
        ) from None


def write(journal: Journal, settings: Settings) -> None:
    """Keep it here: whole or not at all, and on the disk before this returns."""
    path = _path(settings)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    with os.fdopen(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text(journal))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def remove(settings: Settings) -> None:
    """Nothing is under way any more."""
    _path(settings).unlink(missing_ok=True)


def spread(journal: Journal | None, servers: Iterable[Server], deployment: Deployment) -> None:
    """Put a copy on the servers, or take it from them (None). One that does not answer goes without."""
    note = None if journal is None else text(journal)
    on_each(_awake(servers), lambda server: _ask(server, deployment, "forget" if note is None else "keep", note))


def fetched(servers: Iterable[Server], deployment: Deployment) -> Journal | None:
    """The journal that is furthest among the copies on the servers; None where there is none."""
    outcomes = on_each(_awake(servers), lambda server: _ask(server, deployment, "tell", None).get("note"))
    found = []
    for outcome in outcomes:
        with suppress(ValueError, LookupError, TypeError):
            found.append(parsed(str(outcome.value or "")))
    return max(found, key=_how_late, default=None)


def _how_late(journal: Journal) -> tuple[int, int]:
    """Orders the journals of one change by when they were written: whoever is on the way back is so for good."""
    done = len(journal.done)
    return (GOING, DONE, BACK).index(journal.state), -done if journal.state == BACK else done


def text(journal: Journal) -> str:
    """As JSON."""
    return json.dumps({"version": VERSION, **asdict(journal)}, indent=1) + "\n"


def parsed(written: str) -> Journal:
    """The journal of that JSON. Raises ValueError, LookupError, TypeError."""
    told: dict[str, Any] = json.loads(written)
    if told.pop("version") != VERSION:
        raise ValueError("another version of deploymachine wrote it")
    about = told.pop("change")
    newcomers = tuple(Newcomer(**one) for one in about.pop("newcomers"))
    return Journal(
        **{
            **told,
            "change": Change(**about, newcomers=newcomers),
            "moves": tuple(Move(**one) for one in told["moves"]),
            "done": tuple(told["done"]),
        }
    )


def _path(settings: Settings) -> Path:
    return settings.state / "split.json"


def _awake(servers: Iterable[Server]) -> list[Server]:
    return [server for server in servers if server.state == "ACTIVE"]


def _ask(server: Server, deployment: Deployment, action: str, note: str | None) -> dict[str, Any]:
    request = {"command": "splitnote", "action": action, "host": server.name, "note": note}
    try:
        with connect(server, login(server, deployment.settings), deployment.settings) as connection:
            return ask(connection, request, sudo_password(server, deployment))
    except DeployMachineError:
        return {}
