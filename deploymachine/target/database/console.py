"""SQL in, its rows out, by one psql that stays connected: in a moment that counts nothing starts and nobody logs in."""

from __future__ import annotations

import os
import select
import subprocess
import time
from typing import Dict, List, Mapping, Optional, Sequence

from release.values import Failure

END = "-- deploymachine: "
PSQL = ["psql", "-XqAt", "-v", "VERBOSITY=terse"]
QUIET = "-c statement_timeout=0 -c idle_session_timeout=0 -c idle_in_transaction_session_timeout=0"


class Console:
    """One connection. who: the system's user that psql runs as; words: where it connects to."""

    def __init__(self, words: Sequence[str], who: str, environment: Optional[Mapping[str, str]] = None) -> None:
        self.words = list(words)
        self._rest = b""
        asked, self._in = os.pipe()
        self._out, told = os.pipe()
        self._process = subprocess.Popen(
            [*PSQL, *words],
            stdin=asked,
            stdout=told,
            stderr=told,
            cwd="/",
            user=who,
            group=who,
            extra_groups=[],
            env={**_plain(), **(environment or {})},
            start_new_session=True,
        )
        os.close(asked)
        os.close(told)

    def ask(self, sql: str, seconds: float = 30.0) -> List[str]:
        """The lines that one statement yields. Raises Failure where it is refused, Silent where it takes longer."""
        self.send(sql)
        return self.answer(seconds)

    def send(self, sql: str) -> None:
        """Begin a statement whose answer is taken later."""
        try:
            os.write(self._in, f"{sql}\n\\warn {END}:ERROR\n".encode())
        except OSError as error:
            raise Failure("The connection to PostgreSQL is gone", why=str(error)) from None

    def answer(self, seconds: float) -> List[str]:
        """What the statement that was sent yields. Raises as `ask`."""
        until, lines = time.monotonic() + seconds, []
        while True:
            line = self._line(until)
            if line.startswith(END):
                break
            lines.append(line)
        if line != f"{END}false":
            raise Failure("PostgreSQL refuses", why=" ".join(lines[-3:]))
        return lines

    def close(self) -> None:
        """End the connection; whatever it was about is given up."""
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def _line(self, until: float) -> str:
        while b"\n" not in self._rest:
            if not select.select([self._out], [], [], max(0.0, until - time.monotonic()))[0]:
                raise Silent("PostgreSQL does not answer in time")
            data = os.read(self._out, 1 << 16)
            if not data:
                said = self._rest.decode("utf-8", "replace").strip()
                raise Failure("PostgreSQL ended the connection", why=said)
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("utf-8", "replace")


class Silent(Failure):
    """It may answer still."""


def superuser(database: str = "postgres") -> Console:
    """A connection to the server's own PostgreSQL that nothing ends for being slow."""
    return Console(["-d", database], "postgres", {"PGOPTIONS": QUIET})


def _plain() -> Dict[str, str]:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": os.environ.get("PATH", path), "LC_ALL": "C.UTF-8", "HOME": "/", "PGCONNECT_TIMEOUT": "5"}
