"""A `fab` line at a terminal of its own: what a user types in, what stands on the screen out."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Sequence

from fleet import Fleet


class Terminal:
    """A `fab` line that runs at a pseudo terminal. shown: all that stood on the screen so far."""

    def __init__(self, fleet: Fleet, *words: str) -> None:
        self.shown = ""
        self.screen, theirs = pty.openpty()
        environment = {**fleet.environment, "TERM": "dumb"}
        self.process = subprocess.Popen(
            ["fab", *words], cwd=fleet.directory, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def until(self, text: str, seconds: float = 90) -> str:
        """Read on until that stands there; all that stood there before it. Fails where it does not come."""
        deadline = time.monotonic() + seconds
        begun = len(self.shown)
        while text not in self.shown[begun:]:
            assert time.monotonic() < deadline, self.shown
            assert self._read(), self.shown
        return self.shown[begun:]

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        os.close(self.screen)
        return self.process.wait(60)

    def _read(self) -> bool:
        if not select.select([self.screen], [], [], 1)[0]:
            return True
        try:
            data = os.read(self.screen, 1 << 16)
        except OSError:  # as Linux says that the other side has closed it
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)


def at_terminal(fleet: Fleet, words: Sequence[str], *steps: tuple[str, str]) -> tuple[int, str]:
    """Type each step's answer when its question stands there; the exit code, and all that stood on the screen."""
    terminal = Terminal(fleet, *words)
    for question, answer in steps:
        terminal.until(question)
        terminal.type(answer)
    return terminal.end(), terminal.shown
