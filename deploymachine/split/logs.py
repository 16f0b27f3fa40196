"""A lognode that goes in, what it had taken in on the one that comes out, in front of what that takes in itself.

Where others keep logs besides, those have had the same all the time, and nothing has to move.
"""

from __future__ import annotations

from deploymachine.cook import cook, on_all
from deploymachine.split import media
from deploymachine.split.asking import done
from deploymachine.split.moves import Move
from deploymachine.split.part import Moving
from deploymachine.split.shapes import Change

LOGS = "logs"
KEPT, ARRIVING = "/var/log/servers", "/var/lib/deploymachine/logs-of"


def moves(change: Change) -> list[Move]:
    """From each that keeps logs no more to the first that begins to."""
    old = [name for name in change.before if "lognode" in change.loses(name)]
    new = [name for name in change.after if "lognode" in change.gains(name)]
    return [Move(LOGS, name, new[0]) for name in old if new]


def bring(moving: Moving) -> int:
    """Bring them; how many files those are. Repeatable. To be done when nobody sends anything to the old one any more.

    The new one takes in nothing for a moment; senders keep it that long. Raises what went wrong.
    """
    cook([moving.old, moving.new], moving.deployment, moving.report, phase="rsync", recipes=("base.rsync",))
    folder = f"{ARRIVING}-{moving.old.name}"
    media.passed(moving, [_place(KEPT)], [_place(folder)], mirror=True)
    request = {"command": "logkeeping", "folder": folder}
    told = on_all([moving.new], moving.report, lambda server: done(server, request, moving))
    return int(told[0].result["files"])


def _place(folder: str) -> dict[str, str]:
    return {"name": LOGS, "user": "root", "root": folder, "folder": folder}
