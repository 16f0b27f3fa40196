"""A database in, a dump of it beside the data out; a dump in, a database that takes the place of another out.

Killed anywhere, the database is what it was before or what the dump holds, and a rerun ends well: the dump is brought
into a database of another name, and the two change names in one transaction.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List

from release.steps import Steps
from release.values import Failure

from database import cluster

FOLDER = "/var/lib/postgresql/dumps"
KEPT = 5  # of each database
DAY = 86_400  # seconds
UPLOADED = re.compile(r"\.pushed-[A-Za-z0-9_$-]+\.dump")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,62}")
CUSTOM = b"PGDMP"  # what pg_dump -Fc begins with
EXTENSION = re.compile(r"^\d+; \d+ \d+ EXTENSION - (\S+)")
# Made beforehand, by who may: the owner of a database may neither make nor describe them.
NOT_THE_OWNERS = re.compile(
    r"^\d+; \d+ \d+ (EXTENSION - |COMMENT - EXTENSION |SCHEMA - public |COMMENT - SCHEMA public )"
)


def dump(database: str, steps: Steps) -> Dict[str, Any]:
    """Write one more dump; those beyond the newest few of that database go."""
    with steps.step("dump") as step:
        _known(database)
        os.makedirs(FOLDER, 0o700, exist_ok=True)
        shutil.chown(FOLDER, "postgres", "postgres")
        name = f"{database}-{_now()}.dump"
        part = f"{FOLDER}/.{name}.part"
        try:
            cluster.run(["pg_dump", "-Fc", "-f", part, "-d", database], f"{database} can't be dumped")
            os.chmod(part, 0o600)
            os.rename(part, f"{FOLDER}/{name}")
        finally:
            if os.path.exists(part):
                os.unlink(part)
        _tidy(database)
        step.changed(name)
        return {"dump": name, "size": os.path.getsize(f"{FOLDER}/{name}")}


def _tidy(database: str) -> None:
    """Its oldest dumps go, and what uploads and runs that were cut have left."""
    for old in of(database)[KEPT:]:
        os.unlink(f"{FOLDER}/{old['dump']}")
    left = [entry.path for entry in os.scandir(FOLDER) if entry.name.startswith(".")]
    for path in left:
        if os.stat(path).st_mtime < time.time() - DAY:
            os.unlink(path)


def every() -> List[Dict[str, Any]]:
    """The dumps that lie here, the newest first; at: seconds since 1970."""
    names = [name for name in os.listdir(FOLDER) if name.endswith(".dump")] if os.path.isdir(FOLDER) else []
    found = [(os.stat(f"{FOLDER}/{name}"), name) for name in names if not name.startswith(".")]
    told = [{"dump": name, "at": about.st_mtime, "size": about.st_size} for about, name in found]
    return sorted(told, key=lambda one: one["at"], reverse=True)


def of(database: str) -> List[Dict[str, Any]]:
    """Those of one database."""
    mine = re.compile(re.escape(database) + r"-\d{8}T\d{6}Z\.dump")
    return [one for one in every() if mine.fullmatch(one["dump"])]


def load(database: str, wanted: str, owner: str, steps: Steps) -> Dict[str, Any]:
    """wanted: a dump's name; "" for the newest of that database. "aside": what the database of before is called now.

    What was uploaded for this alone, its name begins with a dot, is removed afterwards, however it ends.
    """
    try:
        return _load(database, wanted, owner, steps)
    finally:
        if UPLOADED.fullmatch(wanted) and os.path.exists(f"{FOLDER}/{wanted}"):
            os.unlink(f"{FOLDER}/{wanted}")


def _load(database: str, wanted: str, owner: str, steps: Steps) -> Dict[str, Any]:
    fresh = f"{database[:50]}_loading"
    with steps.step("look") as step:
        if cluster.here().is_replica():
            raise Failure("This server is a replica", why="what is loaded on the primary comes to it by itself")
        path = f"{FOLDER}/{_dump(database, wanted)}"
        role = _owner(database) or owner
        if not role:
            raise Failure(f"Nobody owns a database {database}", hint="`fab dbserver postgresql.create` makes one")
        step.detail = os.path.basename(path)
    with steps.step("restore") as step:
        _make(fresh, role)
        try:
            _fill(fresh, path, role)
        except BaseException:
            cluster.psql(f"DROP DATABASE IF EXISTS {_quoted(fresh)} WITH (FORCE)")
            raise
        step.changed("into a database of its own")
    with steps.step("change places") as step:
        aside = _change_places(database, fresh)
        step.changed(f"what was there: {aside}" if aside else "there was none")
    return {"dump": os.path.basename(path), "aside": aside}


def _dump(database: str, wanted: str) -> str:
    if UPLOADED.fullmatch(wanted) and os.path.exists(f"{FOLDER}/{wanted}"):
        return wanted
    names = [one["dump"] for one in (every() if wanted else of(database))]
    if wanted and wanted not in names:
        known = ", ".join(names[:KEPT]) or "none"
        raise Failure(f"There is no dump {wanted!r}", why=f"the newest there are: {known}")
    if not names:
        raise Failure(f"There is no dump of {database}", hint="`fab dbserver postgresql.dump` makes one")
    return wanted or str(names[0])


def _make(fresh: str, role: str) -> None:
    """What a load that was killed left goes first; where one is at work, PostgreSQL refuses that."""
    try:
        cluster.psql(f"DROP DATABASE IF EXISTS {_quoted(fresh)}")
    except Failure as failure:
        failure.what = f"Another load is at work: {fresh} is in use"
        raise
    like = "TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
    cluster.psql(f"CREATE DATABASE {_quoted(fresh)} OWNER {_quoted(role)} {like}")


def _fill(fresh: str, path: str, role: str) -> None:
    with open(path, "rb") as file:
        custom = file.read(len(CUSTOM)) == CUSTOM
    what = f"{os.path.basename(path)} can't be restored; nothing was changed"
    if not custom:
        words = ["psql", "-Xq", "-1", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", path, "-d", fresh]
        options = {"PGOPTIONS": f"-c statement_timeout=0 -c client_min_messages=error -c role={role}"}
        cluster.run(words, what, environment=options)
    else:
        _fill_custom(fresh, path, role, what)
    cluster.psql("ANALYZE", fresh)


def _fill_custom(fresh: str, path: str, role: str, what: str) -> None:
    contents = cluster.run(["pg_restore", "-l", path], what).splitlines()
    for found in filter(None, map(EXTENSION.match, contents)):
        cluster.psql(f"CREATE EXTENSION IF NOT EXISTS {_quoted(found[1])} CASCADE", fresh)
    wanted = [line for line in contents if not NOT_THE_OWNERS.match(line)]
    with tempfile.NamedTemporaryFile("w", prefix="deploymachine-", suffix=".list") as listed:
        listed.write("\n".join(wanted) + "\n")
        listed.flush()
        shutil.chown(listed.name, "postgres")
        words = ["--no-owner", "--no-privileges", f"--role={role}", "--exit-on-error", f"--use-list={listed.name}"]
        jobs = f"--jobs={min(4, os.cpu_count() or 1)}"
        cluster.run(["pg_restore", *words, jobs, "-d", fresh, path], what)


def _change_places(database: str, fresh: str) -> str:
    """While one transaction waits to rename, which lets nobody new in, who is still connected is sent away."""
    aside = f"{database[:38]}_before_{_now().lower()}" if _exists(database) else ""
    rename = f"ALTER DATABASE {_quoted(fresh)} RENAME TO {_quoted(database)};"
    if aside:
        rename = f"BEGIN; ALTER DATABASE {_quoted(database)} RENAME TO {_quoted(aside)}; {rename} COMMIT;"
    them = f"datname IN ({_text(database)}, {_text(fresh)})"
    send_away = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {them}"  # noqa: S608 (quoted)
    with ThreadPoolExecutor(max_workers=1) as pool:
        renamed = pool.submit(cluster.psql, rename)
        while not renamed.done():
            cluster.psql(send_away)
            time.sleep(0.1)
        renamed.result()
    return aside


def _known(database: str) -> None:
    if not NAME.fullmatch(database) or not _exists(database):
        there = cluster.psql("SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1").split("\n")
        raise Failure(f"There is no database {database!r}", why=f"those there are: {', '.join(there)}")


def _exists(database: str) -> bool:
    return bool(_owner(database))


def _owner(database: str) -> str:
    """The role that owns it; "" where there is no such database."""
    mine = f"datname = {_text(database)}"
    return cluster.psql(f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE {mine}")  # noqa: S608 (quoted)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _now() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
