"""This server's pgbouncer while databases go from one server to another: held, sent elsewhere, let go.

Nobody is let go towards a server that can't be written to: should nobody speak to us any more, we ask both sides who
leads, and let go towards that one as soon as there is one.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from typing import Any, Callable, Dict, List, Mapping, Optional

from release.values import Failure

from database import console
from database.console import Console, Silent

FOLDER = "/etc/pgbouncer"
NEXT, BEFORE = f"{FOLDER}/next", f"{FOLDER}/before"
TOLD = ("running.ini", "userlist.txt", "authority.pem")
USER, PORT = "pgbouncer", "6432"
LEADS = "SELECT NOT pg_is_in_recovery();"
# A row of a catalog is written for it and committed, and nothing is left.
WRITES = "BEGIN; CREATE TEMP TABLE deploymachine_proof ON COMMIT DROP AS SELECT 'written' AS found;"
READS = "SELECT found FROM deploymachine_proof;"
LONGEST = 900.0  # seconds that we look for somebody who leads
Line = Dict[str, Any]


class Pooler:
    """sides: "old" and "new" -> {address, port}, None: this server. databases: [{name, user, password}]."""

    def __init__(self, sides: Mapping[str, Optional[Mapping[str, Any]]], databases: List[Mapping[str, str]]) -> None:
        self.sides, self.databases = sides, databases
        self.consoles: Dict[str, Console] = {}
        self.provers: Dict[str, Console] = {}
        self.paused = False

    def ready(self, _line: Line) -> Line:
        """Log in wherever something will be asked, and keep aside what pgbouncer is told now."""
        self._admin("first")
        self.paused = "paused|yes" in self._admin("second").ask("SHOW STATE;")  # by a run that was cut
        for database in self.databases:
            prover = self._login("new", database)
            prover.ask(LEADS)
            self.provers[database["name"]] = prover
        shutil.rmtree(BEFORE, ignore_errors=True)
        os.makedirs(BEFORE, 0o755)
        _copy(FOLDER, BEFORE)
        return {}

    def pause(self, line: Line) -> Line:
        """Let nobody begin anything, and wait for what has begun. Raises Failure where that takes too long, undone."""
        if self.paused:
            return {"ms": 0}
        self.paused = True
        began = time.monotonic()
        try:
            self._admin("first").ask("PAUSE;", float(line["limit"]))
        except Silent:
            why = self._busy()
            self.resume({})
            self.consoles.pop("first").close()  # its pause is not answered any more
            raise Failure(f"Sites did not come to a rest within {line['limit']:g} s", why=why) from None
        return {"ms": round((time.monotonic() - began) * 1000)}

    def prove(self, _line: Line) -> Line:
        """Write and read on the new server as the sites do, before any of them is let go."""
        for name, prover in self.provers.items():
            prover.ask(WRITES)
            if prover.ask(READS) != ["written"]:
                raise Failure(f"What is written into {name} can't be read")
            prover.ask("COMMIT;")
        return {"databases": list(self.provers)}

    def resume(self, line: Line) -> Line:
        """Let everybody go on: with who is `to` ("old", "new"), else where they were."""
        if line.get("to"):
            _copy(NEXT if line["to"] == "new" else BEFORE, FOLDER)
            self._admin("second").ask("RELOAD;")
        with suppress(Failure):  # it is not paused
            self._admin("second").ask("RESUME;")
        self.paused = False
        return {}

    def settle(self, _line: Line) -> Line:
        """What lay ready is of no use any more."""
        for folder in (NEXT, BEFORE):
            shutil.rmtree(folder, ignore_errors=True)
        return {}

    def let_go(self, ours: Callable[[], bool] = lambda: True) -> None:
        """Let everybody go on with whoever leads, once there is one. ours: whether nobody else has come to do so."""
        until = time.monotonic() + LONGEST
        while self.paused and time.monotonic() < until:
            if not ours():
                return
            leading = next((side for side in ("new", "old") if self._leads(side)), None)
            if leading is not None:
                self.resume({"to": leading})
            time.sleep(0.2)
        if self.paused:
            self.resume({})

    def _leads(self, side: str) -> bool:
        try:
            asked = self._login(side, self.databases[0])
            try:
                return asked.ask(LEADS, 5) == ["t"]
            finally:
                asked.close()
        except Failure:
            return False

    def _login(self, side: str, database: Mapping[str, str]) -> Console:
        where = self.sides[side]
        words = ["-d", database["name"], "-U", database["user"]]
        secret = {"PGPASSWORD": database["password"], "PGOPTIONS": console.QUIET}
        if where is None:
            return Console([*words, "-h", "/run/postgresql"], USER, secret)
        authority = f"{NEXT if side == 'new' else BEFORE}/authority.pem"
        there = {"PGHOST": where["address"], "PGPORT": str(where["port"]), "PGCONNECT_TIMEOUT": "3"}
        return Console(words, USER, {**secret, **there, "PGSSLMODE": "verify-full", "PGSSLROOTCERT": authority})

    def _busy(self) -> str:
        """Who did not pause, as pgbouncer tells it."""
        clients = [row.split("|") for row in self._admin("second").ask("SHOW CLIENTS;")]
        linked = [row for row in clients if len(row) > 3 and row[3] == "active" and row[2] != "pgbouncer"]
        return f"{len(linked)} of their connections are in the middle of something"

    def _admin(self, name: str) -> Console:
        if name not in self.consoles:
            self.consoles[name] = Console(["-h", "/run/pgbouncer", "-p", PORT, "-d", "pgbouncer", "-U", USER], USER)
        return self.consoles[name]


def _copy(source: str, target: str) -> None:
    """What pgbouncer is told, each file at once, with its owner and mode. What one side does not need stays."""
    for name in TOLD:
        if os.path.exists(f"{source}/{name}"):
            temporary = f"{target}/{name}.new"
            shutil.copy2(f"{source}/{name}", temporary)
            about = os.stat(f"{source}/{name}")
            os.chown(temporary, about.st_uid, about.st_gid)
            os.replace(temporary, f"{target}/{name}")
