"""PostgreSQL: whether it leads or follows, how far behind it or its followers are, and what pgBackRest has."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Mapping, Optional

from status.children import Command, Ended

CLUSTERS = "/etc/postgresql"
BACKREST = "/etc/pgbackrest/pgbackrest.conf"
RETIRED = "/var/lib/deploymachine/postgresql-retired"
ASK = """
SELECT json_build_object(
  'role', CASE WHEN pg_is_in_recovery() THEN 'replica' ELSE 'primary' END,
  'receiving', EXISTS (SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'),
  'lag_seconds', CASE WHEN pg_is_in_recovery() AND pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()
                 THEN extract(epoch FROM now() - pg_last_xact_replay_timestamp()) ELSE 0 END,
  'replicas', (SELECT coalesce(json_agg(json_build_object('name', application_name, 'address', host(client_addr),
                 'state', state, 'lag_bytes', pg_wal_lsn_diff(sent_lsn, replay_lsn))), '[]')
               FROM pg_stat_replication WHERE application_name <> 'pg_basebackup'))
"""


def commands() -> Dict[str, Command]:
    """Nothing on a server without PostgreSQL."""
    there = os.listdir(CLUSTERS) if os.path.isdir(CLUSTERS) else []
    if not any(os.path.isdir(f"{CLUSTERS}/{version}/main") for version in there):
        return {}
    psql = ["psql", "-XqAt", "-d", "postgres", "-c", ASK]
    found = {"psql": Command(psql, "postgres")}
    if os.path.exists(BACKREST):
        found["pgbackrest"] = Command(["pgbackrest", "--output=json", "--log-level-console=off", "info"], "postgres")
    return found


def told(ended: Mapping[str, Ended]) -> Optional[Dict[str, Any]]:
    """role: primary, replica, retired or stopped. None on a server without PostgreSQL."""
    if "psql" not in ended:
        return None
    psql = ended["psql"]
    if psql.code == 0:
        found: Dict[str, Any] = json.loads(psql.output)
    elif os.path.exists(RETIRED):
        found = {"role": "retired"}
    else:
        found = {"role": "stopped", "why": psql.why or f"psql: exit code {psql.code}"}
    found["backup"] = _backup(ended.get("pgbackrest"))
    return found


def _backup(ended: Optional[Ended]) -> Optional[Dict[str, Any]]:
    """The newest: ended (seconds since 1970), label, type; or error. None: nobody makes any."""
    if ended is None:
        return None
    try:
        stanzas = json.loads(ended.output[ended.output.index("[") :])
    except ValueError:
        return {"error": ended.why or f"pgbackrest: exit code {ended.code}"}
    good = [one for stanza in stanzas for one in stanza.get("backup", []) if not one.get("error")]
    if not good:
        status = stanzas[0].get("status", {}).get("message", "") if stanzas else ""
        return {"error": status if status and status != "ok" else "there is no backup yet"}
    last = max(good, key=lambda one: one["timestamp"]["stop"])
    return {"ended": last["timestamp"]["stop"], "label": last["label"], "type": last["type"], "error": ""}
