"""The server's PostgreSQL: where it is, whether it runs and as what, and a way to ask it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence

from kokki import process, systemd
from release.steps import Steps
from release.values import Failure

# Written before a server's databases are given up to another's, so that nothing ever starts them again by itself.
RETIRED = "/var/lib/deploymachine/postgresql-retired"
STATE = """
SELECT json_build_object(
  'replica', pg_is_in_recovery(),
  'lsn', (CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
          ELSE pg_current_wal_lsn() END) - '0/0'::pg_lsn,
  'lag_bytes', CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() - pg_last_wal_replay_lsn() END,
  'lag_seconds', CASE WHEN pg_is_in_recovery() AND pg_last_wal_receive_lsn() <> pg_last_wal_replay_lsn()
                 THEN extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END,
  'receiving', EXISTS (SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'),
  'replicas', (SELECT coalesce(json_agg(json_build_object('name', application_name, 'address', host(client_addr),
                 'state', state, 'lag_bytes', pg_wal_lsn_diff(sent_lsn, replay_lsn))), '[]')
               FROM pg_stat_replication WHERE usename = 'replication' AND application_name <> 'pg_basebackup'),
  'connections', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  'size', (SELECT sum(pg_database_size(oid)) FROM pg_database));
"""


@dataclass(frozen=True)
class Cluster:
    """Debian's cluster `main` of one version."""

    version: str

    @property
    def data(self) -> str:
        return f"/var/lib/postgresql/{self.version}/main"

    @property
    def unit(self) -> str:
        return f"postgresql@{self.version}-main.service"

    @property
    def start_conf(self) -> str:
        return f"/etc/postgresql/{self.version}/main/start.conf"

    def program(self, name: str) -> str:
        return f"/usr/lib/postgresql/{self.version}/bin/{name}"

    def running(self) -> bool:
        return systemd.is_up(systemd.show([self.unit])[self.unit])

    def is_replica(self) -> bool:
        return os.path.exists(f"{self.data}/standby.signal")

    def start(self) -> None:
        act("start", self.unit)

    def stop(self) -> None:
        """As it is meant to: everything that was written is sent to replicas and to the archive first."""
        act("stop", self.unit)


def here() -> Cluster:
    """The one that there is. Raises Failure."""
    folder = "/etc/postgresql"
    names = os.listdir(folder) if os.path.isdir(folder) else []
    there = [name for name in names if os.path.isdir(f"{folder}/{name}/main")]
    if not there:
        raise Failure("There is no PostgreSQL on this server", hint="`fab dbserver launch` brings it")
    return Cluster(max(there, key=lambda name: int(name.partition(".")[0])))


def state(steps: Steps) -> Dict[str, Any]:
    """What it is (primary, replica, stopped, retired), how far behind, and how its backups are."""
    from database import backups

    with steps.step("state") as step:
        cluster = here()
        found: Dict[str, Any] = {"version": cluster.version, "role": "stopped"}
        if cluster.running():
            found.update(json.loads(psql(STATE)))
            found["role"] = "replica" if found.pop("replica") else "primary"
        elif os.path.exists(RETIRED):
            found["role"] = "retired"
        found["backup"] = backups.last()
        found["drill"] = backups.last_drill()
        step.detail = found["role"]
    return found


def psql(sql: str, database: str = "postgres") -> str:
    """Run SQL as the superuser; what it printed. Raises Failure."""
    options = {"PGOPTIONS": "-c statement_timeout=0 -c client_min_messages=error"}
    command = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database]
    return run(command, "PostgreSQL does not answer", stdin=sql, environment=options).strip()


def run(
    command: Sequence[str],
    what: str,
    *,
    user: Optional[str] = "postgres",
    stdin: str = "",
    environment: Optional[Mapping[str, str]] = None,
) -> str:
    """A command's output. Raises Failure with its last lines where it fails."""
    done = process.run(command, user=user, cwd="/", stdin=stdin, environment=environment)
    if done.code:
        raise Failure(what, command=process.shown(command), exit_code=done.code, output=done.lines)
    return done.output


def act(verb: str, unit: str) -> None:
    """systemctl VERB UNIT. Raises Failure with what the unit's journal says."""
    done = process.run(["systemctl", verb, "--", unit])
    if done.code:
        raise Failure(f"{unit} could not {verb}", output=journal(unit, done.lines))


def journal(unit: str, otherwise: Sequence[str] = ()) -> List[str]:
    """What a unit said last."""
    command = ["journalctl", "-u", unit, "-n", "20", "--no-pager", "-o", "cat"]
    return process.run(command, timeout=10).lines or list(otherwise)
