"""A Change and what was measured for it in, the lines that tell a person what will happen out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deploymachine.servertypes import parts
from deploymachine.split import logs
from deploymachine.split import steps as names
from deploymachine.split.moves import Move
from deploymachine.split.part import Size
from deploymachine.split.shapes import COMMAND, MERGE, MOVE, SPLIT, Change, a, listed
from deploymachine.split.steps import Step

RATE = 40e6  # bytes a second: what a copy over a private network and two disks that are in use does at least
SHORT = 3.0  # seconds that a switch takes with all that is around it
# Seconds that each step takes on usual machines, without what it copies.
USUAL = {
    names.BOOT: 60.0,
    names.PROVISION: 60.0,
    names.GROW: 5.0,
    names.JOIN: 90.0,
    names.COPY: 10.0,
    names.PROVE: 2.0,
    names.RETYPE: 5.0,
    names.SETTLE: 30.0,
    names.LOGS: 20.0,
    names.LEAVE: 15.0,
    names.CHECK: 2.0,
}
ENDED = {
    "cachenode": "nobody keeps a cache then: sites work without one (--into ...,cachenode keeps one)",
    "lognode": "nobody takes in the servers' logs then; each keeps its own",
    "broker": "nobody takes in tasks then",
    "tasknode": "nobody does the sites' tasks then",
}


def told(
    change: Change, every: Sequence[Step], sizes: Mapping[Move, Size], ends: Sequence[str], flavors: Mapping[str, str]
) -> list[str]:
    """The whole plan. ends: types that nobody does any more. flavors: of the new servers."""
    return [
        headline(change),
        "",
        *_servers(change, flavors),
        *_what_moves(sizes),
        *(f"  logs: what {one.old} has taken in goes to {one.new}" for one in logs.moves(change)),
        *(f"  ends: {ENDED.get(kind, kind)}" for kind in ends),
        "",
        *_table(every, sizes),
        "",
        *_ways_back(change, every),
    ]


def seconds(step: Step, sizes: Mapping[Move, Size]) -> float:
    """About how long a step takes."""
    if step.name == names.COPY:
        return USUAL[step.name] + sum(size.bytes for size in sizes.values()) / RATE
    return USUAL.get(step.name, SHORT)


def headline(change: Change) -> str:
    """One line: what becomes of what."""
    before, after = ([f"{name} ({kind})" for name, kind in each.items()] for each in (change.before, change.after))
    verb = {SPLIT: "Split", MERGE: "Merge", MOVE: "Move"}[change.verb]
    return f"{verb} {listed(before)} {'to' if change.verb == MOVE else 'into'} {listed(after)}"


def _servers(change: Change, flavors: Mapping[str, str]) -> list[str]:
    lines = []
    for name in dict.fromkeys((*change.before, *change.after)):
        before, after = change.before.get(name), change.after.get(name)
        if after is None:
            lines.append(f"  {name}: goes; its disk is kept until --finish")
        elif before is None:
            lines.append(f"  {name}: new, {a(after)}" + (f" ({flavors[name]})" if flavors.get(name) else ""))
        else:
            front = ", and keeps the address that visitors come to" if "loadbalancer" in parts(after) else ""
            what = f"stays {a(after)}" if before == after else f"stays, {a(after)} then"
            lines.append(f"  {name}: {what}{front}")
    return lines


def _what_moves(sizes: Mapping[Move, Size]) -> list[str]:
    return [
        f"  {move.part}: from {move.old} to {move.new}, {size.note or written(size.bytes)}"
        for move, size in sizes.items()
    ]


def _table(every: Sequence[Step], sizes: Mapping[Move, Size]) -> list[str]:
    lines = []
    switch = next((number for number, step in enumerate(every) if step.name.startswith("switch ")), None)
    for number, step in enumerate(every):
        if number == switch:
            lines.append("     -- up to here nobody does anything but before; from here on, others do --")
        seen = "" if step.notices == "nothing" else f"; visitors: {step.notices}"
        lines.append(f"  {number + 1:>2} {_about(seconds(step, sizes)):>7}  {step.told}{seen}")
    total = sum(seconds(step, sizes) for step in every)
    return [*lines, f"     {_about(total)} in all; the sites are served all the time"]


def _ways_back(change: Change, every: Sequence[Step]) -> list[str]:
    command = COMMAND[change.verb]
    switches = any(step.name.startswith("switch ") for step in every)
    return [
        f"Killed anywhere, by either side: `{command} --resume` goes on, `{command} --abort` goes back.",
        "  Before the first switch --abort is without any effect on visitors; new servers are set aside for a look."
        if switches
        else "  --abort is without any effect on visitors; new servers are set aside for a look.",
        *(["  After it --abort goes back by another switch, with all that was written since."] if switches else []),
        f"  The point of no return is `{command} --finish`, which asks once more: old data and old servers go.",
    ]


def written(count: int) -> str:
    """A number of bytes for a person."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def _about(count: float) -> str:
    return f"~{count:.0f} s" if count < 90 else f"~{count / 60:.0f} min"
