"""A deployment and two of its servers in, one of them leading out; or what happened instead, at a moment that is told.

Run as a program: `switching.py OLD NEW [WHEN PART.DO ACTION]`. WHEN is "before" or "after" that order is given to a
server; ACTION is "kill", the end of this program, or a line for a shell of this machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from deploymachine import secrets, settings
from deploymachine.cloud import connect
from deploymachine.errors import DeployMachineError
from deploymachine.report import report
from deploymachine.servertypes import Deployment
from deploymachine.sessions import Session
from deploymachine.split import database
from deploymachine.split.part import DATABASE, Moving


def disturb(when: str, order: str, action: str) -> None:
    """Have something happen before or after the first such order."""
    plain = Session.ask
    left = [order]

    def happen() -> None:
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        subprocess.run(["sh", "-c", action], check=True)

    def ask(self: Session, part: str, do: str, seconds: float = 30.0, **more: Any) -> dict[str, Any]:
        now = left == [f"{part}.{do}"] and bool(left.pop())
        if now and when == "before":
            happen()
        answer = plain(self, part, do, seconds, **more)
        if now and when == "after":
            happen()
        return answer

    Session.ask = ask  # type: ignore[method-assign]


def deployment() -> Deployment:
    here = settings.load(Path.cwd())
    cloud = connect(here)
    try:
        return Deployment(here, cloud.servers(), secrets.of(here))
    finally:
        cloud.close()


def main(what: str, old: str, new: str, *disturbance: str) -> int:
    here = deployment()
    if disturbance:
        disturb(*disturbance)
    try:
        with report() as shown:
            moving = Moving(DATABASE, here.inventory.named(old), here.inventory.named(new), here, shown, 120.0)
            if what == "switch":
                database.prepare(moving)
            done = getattr(database, what)(moving)
    except DeployMachineError as error:
        print(f"error: {error}")
        return 1
    for line in getattr(done, "proof", ()):
        print(line)
    print(f"held for {getattr(done, 'pause', 0):.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
