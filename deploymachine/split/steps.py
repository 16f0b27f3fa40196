"""A Change in, its steps out, each a name, a sentence and two functions: to do it, and to take it back.

Every step may be repeated after it was cut off anywhere. What is done to servers is done through the same functions as
`fab root provision`, `fab TYPE launch` and `fab TYPE kokki`: in between there is always an ordinary deployment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deploymachine.split import work
from deploymachine.split.moves import Move
from deploymachine.split.part import DATABASE, MEDIA
from deploymachine.split.shapes import listed
from deploymachine.split.work import Work

BOOT, PROVISION, GROW, JOIN, COPY, PROVE = "boot", "provision", "grow", "join", "copy", "prove"
RETYPE, SETTLE, LEAVE, CHECK = "retype", "settle", "leave", "check"
Act = Callable[[Work], None]


def _nothing(_work: Work) -> None:
    """What changed nothing has nothing to take back."""


@dataclass(frozen=True)
class Step:
    """name: as the journal keeps it. told: what it does, for a person. notices: what visitors see of it."""

    name: str
    told: str
    do: Act
    undo: Act = _nothing
    notices: str = "nothing"


def steps(about: Work) -> list[Step]:
    """All of a change, in their order."""
    change, moves = about.change, about.moves
    new, grown = listed(change.joining), listed(about.grown)
    stays, goes = [name for name in change.retyped if change.loses(name)], change.going
    found = [
        Step(BOOT, f"{new} is booted", work.boot, work.unboot) if new else None,
        Step(PROVISION, f"{new} is provisioned", work.provision) if new else None,
        Step(GROW, f"{grown} is noted as {_types(about, about.grown)}", work.grow, work.ungrow) if grown else None,
        Step(
            JOIN,
            f"{listed([*change.joining, *about.grown])}: let in by the others, cooked, released",
            work.join,
            work.unjoin,
        ),
        Step(COPY, f"copies are made and follow: {_parts(moves)}", work.copy) if moves else None,
        *(_switch(move) for move in moves),
        Step(PROVE, "every site is asked for through every balancer", work.prove),
        Step(RETYPE, f"the cloud notes {_types(about, change.retyped)}", work.retype, work.unretype)
        if change.retyped
        else None,
        Step(SETTLE, "every server is cooked as it is to be, and knows the others", work.settle, work.unsettle),
        Step(LEAVE, f"{listed([*stays, *goes])} stops what others do now; data stay", work.leave, work.unleave)
        if stays or goes
        else None,
        Step(CHECK, "every site is asked for once more", work.prove),
    ]
    return [step for step in found if step is not None]


def _switch(move: Move) -> Step:
    notices = {
        DATABASE: "pages that read or write wait for a moment, at most some seconds",
        MEDIA: "nothing; requests under way end where they began",
    }
    return Step(
        move.step,
        f"{move.part}: {move.new} takes over from {move.old}",
        lambda about: work.switch(about, move),
        lambda about: work.back(about, move),
        notices.get(move.part, "nothing"),
    )


def _types(about: Work, names: tuple[str, ...]) -> str:
    after = about.change.after
    return listed([f"{name}: {after.get(name, '')}" for name in names])


def _parts(moves: tuple[Move, ...]) -> str:
    return ", ".join(dict.fromkeys(move.part for move in moves))
