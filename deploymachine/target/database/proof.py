"""What the databases of this server hold at one moment in, a digest of it out that has to be the same on a copy.

The moment is one in which sites are held, so that primary and replica see the same; what takes time, the counting and
the sums, is done later in transactions that go on seeing it. A replica replays nothing meanwhile, for replaying might
take rows away from these.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List

from database import console
from database.console import Console

WHOLE = 256 << 20  # bytes of a table up to which every row is summed; of larger ones a sample of as many
COUNTED = 8 << 30  # bytes of a table up to which every row is counted
LONGEST = 1800.0  # seconds that one table may take
SAME_TEXT = (
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 1;"
    " SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET search_path = ''; SET max_parallel_workers_per_gather = 0;"
)
DATABASES = "SELECT datname FROM pg_database WHERE datallowconn AND datname NOT IN ('template0', 'template1');"
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_current_snapshot();"
TABLES = """SELECT json_agg(json_build_array(format('%I.%I', nspname, relname), pg_relation_size(c.oid),
    relpersistence)) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
  WHERE relkind IN ('r', 'm') AND relpersistence <> 't'
  AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast');"""
SUM = "SELECT json_build_array(count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)) FROM ONLY {}"
# Asked for in the moment itself: no transaction keeps on seeing a sequence as it was.
SEQUENCES = """SELECT coalesce(json_object_agg(format('%I.%I', schemaname, sequencename),
    json_build_array(last_value, increment_by)), '{}') FROM pg_catalog.pg_sequences;"""
MORE = """SELECT json_build_object(
  'large objects', (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata),
  'extensions', (SELECT coalesce(json_object_agg(extname, extversion), '{}') FROM pg_catalog.pg_extension),
  'missing', (SELECT coalesce(json_agg(extname), '[]') FROM pg_catalog.pg_extension e WHERE NOT EXISTS
    (SELECT FROM pg_catalog.pg_available_extension_versions v WHERE (v.name, v.version) = (extname, extversion))));"""
SERVER = """SELECT json_build_object(
  'roles', (SELECT md5(string_agg(a::text, ' ' ORDER BY rolname)) FROM pg_catalog.pg_authid a),
  'role count', (SELECT count(*) FROM pg_catalog.pg_authid WHERE rolname !~ '^pg_'),
  'members', (SELECT md5(string_agg(m::text, ' ' ORDER BY m::text)) FROM pg_catalog.pg_auth_members m),
  'settings of roles', (SELECT md5(string_agg(s::text, ' ' ORDER BY s::text)) FROM pg_catalog.pg_db_role_setting s),
  'databases', (SELECT json_object_agg(datname, array_to_string(ARRAY[pg_catalog.pg_encoding_to_char(encoding),
     datcollate, datctype], ' ')) FROM pg_catalog.pg_database),
  'collations', (SELECT json_agg(datname) FROM pg_catalog.pg_database
     WHERE datcollversion <> pg_catalog.pg_database_collation_actual_version(oid)),
  'settings', (SELECT json_object_agg(name, setting) FROM pg_catalog.pg_settings WHERE name IN ('server_version_num',
     'block_size', 'wal_block_size', 'data_checksums', 'server_encoding', 'shared_preload_libraries', 'TimeZone',
     'default_text_search_config', 'password_encryption', 'standard_conforming_strings', 'max_connections')));"""
PAUSED = "SELECT pg_is_in_recovery() AND pg_get_wal_replay_pause_state() <> 'not paused';"
Line = Dict[str, Any]


class Prover:
    """One server's side of the comparison. Connections are made before the moment."""

    def __init__(self) -> None:
        self.sessions: Dict[str, Console] = {}
        self.sequences: Dict[str, Any] = {}
        self.holds = False

    def ready(self, _line: Line) -> Line:
        """Connect to every database; "databases": which there are."""
        self.let_go()
        main = console.superuser()
        self.sessions = {"postgres": main}
        for name in main.ask(DATABASES):
            if name != "postgres":
                self.sessions[name] = console.superuser(name)
        for session in self.sessions.values():
            session.ask(SAME_TEXT)
        return {"databases": sorted(self.sessions)}

    def seize(self, line: Line) -> Line:
        """Begin to see this moment in all databases, and have a replica replay no further."""
        for session in self.sessions.values():
            session.send(BEGIN)
        for name, session in self.sessions.items():
            session.answer(10)
            self.sequences[name] = json.loads("\n".join(session.ask(SEQUENCES)))
        if line.get("hold"):
            self.holds = True
            self.sessions["postgres"].ask("SELECT pg_wal_replay_pause();")
        return {}

    def plan(self, _line: Line) -> Line:
        """Which part of every table is to be summed, in percent; the same has to be looked at on the other server."""
        return {"parts": {name: _parts(session) for name, session in self.sessions.items()}}

    def digest(self, line: Line) -> Line:
        """Of every database its tables, sequences and extensions; of the server its roles and settings."""
        parts = line["parts"]
        found = {
            name: {**_digest(session, parts.get(name, {})), "sequences": self.sequences[name]}
            for name, session in self.sessions.items()
        }
        server = json.loads("\n".join(self.sessions["postgres"].ask(SERVER)))
        return {"databases": found, "server": server}

    def release(self, _line: Line) -> Line:
        """See what happens again, and replay it."""
        self.let_go()
        return {}

    def let_go(self) -> None:
        for session in self.sessions.values():
            session.close()
        self.sessions = {}
        if self.holds:
            go_on()
            self.holds = False


def go_on() -> Line:
    """Have a replica replay that a run which was killed left waiting."""
    asked = console.superuser()
    try:
        if asked.ask(PAUSED) == ["t"]:
            asked.ask("SELECT pg_wal_replay_resume();")
    finally:
        asked.close()
    return {}


def _tables(session: Console) -> List[Any]:
    """name, bytes, persistence of each."""
    text = "\n".join(session.ask(TABLES))
    return list(json.loads(text)) if text else []


def _parts(session: Console) -> Line:
    return {name: min(100.0, round(100.0 * WHOLE / max(int(size), 1), 4)) for name, size, _ in _tables(session)}


def _digest(session: Console, parts: Line) -> Line:
    there = _tables(session)
    tables = {
        name: _table(session, name, int(size), float(parts.get(name, 100)))
        for name, size, persistence in there
        if persistence != "u"
    }
    more: Line = json.loads("\n".join(session.ask(MORE)))
    return {**more, "tables": tables, "unlogged": [name for name, _, persistence in there if persistence == "u"]}


def _table(session: Console, name: str, size: int, percent: float) -> Line:
    """rows, sum: of the whole, or of the sample that the percentage tells. The sum is a text: it may be long."""
    part = f" TABLESAMPLE SYSTEM ({percent}) REPEATABLE (6)" if percent < 100 else ""
    rows, total = json.loads(session.ask(f"{SUM.format(name)} AS t{part};", LONGEST)[0])
    if part and size <= COUNTED:
        rows = int(session.ask(f"SELECT count(*) FROM ONLY {name};", LONGEST)[0])  # noqa: S608 - quoted by it
    return {"rows": rows, "sum": str(total), "percent": percent}
