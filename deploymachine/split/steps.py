"""A Change in, its steps out, each a name, a sentence and two functions: to do it, and to take it back.

Every step may be repeated after it was cut off anywhere. What is done to servers is done through the same functions as
`fab root provision`, `fab TYPE launch` and `fab TYPE kokki`: in between there is always an ordinary deployment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deploymachine.split import logs, work
from deploymachine.split.moves import Move
from deploymachine.split.part import DATABASE, MEDIA
from deploymachine.split.shapes import listed
from deploymachine.split.work import Work

BOOT, PROVISION, GROW, JOIN, COPY, PROVE = "boot", "provision", "grow", "join", "copy", "prove"
RETYPE, SETTLE, LOGS, LEAVE, CHECK = "retype", "settle", "logs", "leave", "check"
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
    begins = listed([*change.joining, *about.grown])
    shrinking = tuple(name for name in change.retyped if change.loses(name))
    ends = listed([*shrinking, *change.going])
    found = [
        Step(BOOT, f"boot {new}", work.boot, work.unboot) if change.newcomers else None,
        Step(PROVISION, f"provision {new}", work.provision) if new else None,
        Step(GROW, f"have the cloud note {_types(about, about.grown)}", work.grow, work.ungrow) if grown else None,
        Step(JOIN, f"let in and cook {begins}{_released(about)}", work.join, work.unjoin) if begins else None,
        Step(COPY, f"copy, and have the copies follow: {_parts(moves)}", work.copy) if moves else None,
        *(_switch(move) for move in moves),
        Step(PROVE, "ask for every site through every balancer", work.prove),
        Step(RETYPE, f"have the cloud note {_types(about, shrinking)}", work.retype, work.unretype)
        if shrinking
        else None,
        Step(SETTLE, "cook every server as it is to be", work.settle, work.unsettle),
        *(
            Step(LOGS, f"logs: {one.new} gets what {one.old} has taken in", work.bring_logs)
            for one in logs.moves(change)[:1]
        ),
        Step(LEAVE, f"stop on {ends} what others do now; data stay", work.leave, work.unleave) if ends else None,
        Step(CHECK, "ask for every site once more", work.prove),
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


def _released(about: Work) -> str:
    change = about.change
    serves = [name for name in (*change.joining, *about.grown) if {"appnode", "tasknode"} & {*change.gains(name)}]
    return f"; release the sites on {listed(serves)}" if serves else ""


def _types(about: Work, names: tuple[str, ...]) -> str:
    after = about.change.after
    return listed([f"{name}: {after.get(name, '')}" for name in names])


def _parts(moves: tuple[Move, ...]) -> str:
    return ", ".join(dict.fromkeys(move.part for move in moves))
