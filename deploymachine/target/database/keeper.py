"""The server's own PostgreSQL while it hands over or takes over: stopped, fenced, promoted, or put back as it was.

Until it is fenced nothing is for good: what is stopped starts again by itself when nobody speaks to us any more, by a
timer of systemd should we be killed, and after a boot.
"""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from typing import Any, Dict, List, Optional

from kokki import process
from release.values import Failure

from database import cluster, console, fence
from database.cluster import RETIRED

DEAD_MAN = "deploymachine-start-again"
STOP_WITHIN = 10.0  # seconds
LOOK = 0.004
WRITTEN = "SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn;"
# A commit of ours brings all that was committed before to the disk, and so to the replicas.
FLUSH = "SELECT pg_logical_emit_message(true, 'deploymachine', '');"
REPLAYED = "SELECT coalesce(pg_last_wal_replay_lsn(), '0/0') - '0/0'::pg_lsn;"
FOLLOWS = "SELECT pg_is_in_recovery();"
SLOT = """SELECT pg_create_physical_replication_slot(name, true) FROM (VALUES ('{}')) AS wanted (name)
  WHERE name NOT IN (SELECT slot_name FROM pg_replication_slots)"""
# Where the log begins that is kept without a gap up to now; files of before a promotion may lie there for longer. A
# file's name says where it begins, after 8 digits of its timeline.
KEEPS = """WITH setting AS (SELECT pg_size_bytes(current_setting('wal_segment_size')) AS bytes),
  there AS (SELECT DISTINCT ('x' || substr(name, 9, 8))::bit(32)::bigint << 32
      | ('x' || substr(name, 17, 8))::bit(32)::bigint * bytes AS at
    FROM pg_ls_waldir(), setting WHERE name ~ '^[0-9A-F]{24}$')
  SELECT max(at) FROM there, setting
    WHERE at <= pg_current_wal_lsn() - '0/0'::pg_lsn AND at - bytes NOT IN (SELECT at FROM there);"""
HOLDERS = """SELECT json_agg(json_build_object('pid', pid, 'user', usename, 'database', datname, 'state', state,
  'seconds', round(extract(epoch FROM clock_timestamp() - xact_start)), 'query', left(query, 200))) FROM (
  SELECT * FROM pg_stat_activity WHERE backend_type = 'client backend' AND xact_start < now() - interval '2 seconds'
    AND pid <> pg_backend_pid() AND usename <> 'postgres' ORDER BY xact_start LIMIT 5) AS held;"""
Line = Dict[str, Any]


class Keeper:
    """One server's databases. port: where others reach them. seconds: after which systemd undoes a stop."""

    def __init__(self, port: int, seconds: float) -> None:
        self.here, self.port, self.seconds = cluster.here(), port, seconds
        self.asked: Optional[console.Console] = None
        self.stopped = False

    def ready(self, line: Line) -> Line:
        """Everything that takes time is done before the moment that counts.

        slot: under which all is kept from now on that the other one has to be told when it is to follow this one.
        """
        self._ask(f"{SLOT.format(line['slot'])};" if line.get("slot") else "SELECT 1;")
        fence.prepare()
        self._dead_man()
        return look()

    def look(self, _line: Line) -> Line:
        return look()

    def checkpoint(self, _line: Line) -> Line:
        """So that the one at its end has little left to write."""
        self._ask("CHECKPOINT;", 900)
        return {}

    def written(self, _line: Line) -> Line:
        """Up to where the log goes now, with all that anybody has committed."""
        self._ask(FLUSH)
        return {"lsn": int(self._ask(WRITTEN)[0])}

    def holders(self, _line: Line) -> Line:
        """Whose transactions go on for long."""
        found = self._ask(HOLDERS)
        return {"holders": json.loads(found[0]) if found and found[0] else []}

    def reach(self, line: Line) -> Line:
        """Wait until all of the log up to there is replayed. beyond: what begins there, too. Raises Failure."""
        wanted = int(line["lsn"]) + bool(line.get("beyond"))
        until = time.monotonic() + float(line["limit"])
        while (got := int(self._ask(REPLAYED)[0])) < wanted:
            if time.monotonic() > until:
                raise Failure(
                    f"It has not got all that the other one wrote within {line['limit']:g} s",
                    why=f"{wanted - got} bytes of its log are missing",
                )
            time.sleep(LOOK)
        return {"lsn": got}

    def stop(self, _line: Line) -> Line:
        """End it as it is meant to; "lsn": up to where its log goes. Undone by `let_go`. Raises Failure, undone."""
        self.stopped = True
        pid = self._pid()
        if pid is not None:
            self._end(pid)
        return {"lsn": fence.end_of_log(self.here)}

    def fence(self, line: Line) -> Line:
        """Give the databases up for good, written up to `lsn` and no further. Raises Failure, not fenced then."""
        fence.put(self.here, int(line["lsn"]), str(line["to"]))
        # Whoever started it before the second file was there has left its mark by now.
        if self._pid() is not None or fence.end_of_log(self.here) != int(line["lsn"]):
            fence.lift(self.here)
            raise Failure("PostgreSQL was started by somebody while it was to be given up")
        self.stopped = False
        fence.close_port(self.port)
        return {}

    def give_up(self, line: Line) -> Line:
        """Stop, and be fenced: whatever it was, it does not lead from now on. Repeatable. Raises Failure."""
        if os.path.exists(RETIRED):
            return {}
        return self.fence({"lsn": self.stop(line)["lsn"], "to": line["to"]})

    def settle(self, _line: Line) -> Line:
        """The fence may be seen now."""
        fence.make_plain(self.here)
        self._disarm()
        return {}

    def promote(self, line: Line) -> Line:
        """Be the primary, once all up to `lsn` is replayed. Raises Failure."""
        if not self.here.is_replica():
            return {"was": "primary"}
        self.reach({**line, "beyond": True})
        self._ask("SELECT pg_promote(false);")
        until = time.monotonic() + float(line["limit"])
        while self._ask(FOLLOWS) != ["f"]:
            if time.monotonic() > until:
                raise Failure(f"It did not become the primary in {line['limit']:g} s")
            time.sleep(LOOK)
        return {"was": "replica"}

    def take_back(self, _line: Line) -> Line:
        """Undo the fence. Only for whoever knows that nobody else leads."""
        fence.lift(self.here)
        self._start()
        return {}

    def let_go(self) -> None:
        """What is stopped and not given up runs again."""
        if self.stopped:
            self._start()
            self.stopped = False
        self._disarm()

    def _end(self, pid: int) -> None:
        os.kill(pid, signal.SIGINT)  # what systemctl stop does, too, after a while
        if not self._gone(STOP_WITHIN):
            with suppress(OSError):
                os.kill(pid, signal.SIGQUIT)
            self._gone(STOP_WITHIN)
            self.let_go()
            raise Failure(f"PostgreSQL did not end within {STOP_WITHIN:g} s; it runs again")

    def _gone(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self._pid() is not None and time.monotonic() < until:
            time.sleep(LOOK)
        return self._pid() is None

    def _start(self) -> None:
        """Until it takes connections. What was given up stays so."""
        if os.path.exists(RETIRED):
            return
        cluster.act("start", self.here.unit)
        until = time.monotonic() + self.seconds
        while process.run(["psql", "-XqAt", "-c", FOLLOWS], user="postgres", cwd="/").code:
            if time.monotonic() > until:
                raise Failure("PostgreSQL does not come up again", output=cluster.journal(self.here.unit))
            time.sleep(0.05)

    def _pid(self) -> Optional[int]:
        """The postmaster's process; None where there is none."""
        try:
            with open(f"{self.here.data}/postmaster.pid") as file:
                pid = int(file.readline())
            with open(f"/proc/{pid}/stat") as file:
                return pid if "postgres" in file.readline() else None
        except FileNotFoundError:
            return None

    def _ask(self, sql: str, seconds: float = 30.0) -> List[str]:
        if self.asked is None:
            self.asked = console.superuser()
        try:
            return self.asked.ask(sql, seconds)
        except Failure:
            self.asked.close()
            self.asked = None
            raise

    def _dead_man(self) -> None:
        """Should we be killed while it is stopped, systemd starts it; what is fenced it can't."""
        self._disarm()
        timer = ["systemd-run", "--quiet", "--collect", f"--unit={DEAD_MAN}", f"--on-active={self.seconds:g}"]
        process.run([*timer, "--timer-property=AccuracySec=1s", "systemctl", "start", self.here.unit])

    def _disarm(self) -> None:
        process.run(["systemctl", "stop", f"{DEAD_MAN}.timer"])


def look() -> Line:
    """role: primary, replica, stopped or fenced. lsn: in bytes of log. system: whose copy it is. to: who has it now.

    keeps: from where on a primary has its log yet, for replicas that lack it.
    """
    here = cluster.here()
    told = fence.control(here)
    found: Line = {"version": here.version, "role": "stopped", "system": told.get("Database system identifier")}
    if os.path.exists(RETIRED):
        return {**found, "role": "fenced", **fence.noted(here)}
    if here.running():
        asked = console.superuser()
        try:
            found["role"] = "replica" if asked.ask(FOLLOWS) == ["t"] else "primary"
            found["lsn"] = int(asked.ask(REPLAYED if found["role"] == "replica" else WRITTEN)[0])
            if found["role"] == "primary":
                found["keeps"] = int(asked.ask(KEEPS)[0])
        except Failure as failure:
            return {**found, "role": "stopped", "why": failure.why}
        finally:
            asked.close()
    return found
