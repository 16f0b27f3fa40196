"""An application name in, who keeps its connections to PostgreSQL waiting out, as JSON; what these do is cancelled.

It is run by the site's own Python, as a text: nothing of ours is there.
"""

import json
import os
import sys
from importlib import import_module
from typing import Any, List

HIDDEN = "<insufficient privilege>"
WAITING = """
SELECT unnest(pg_blocking_pids(pid)) FROM pg_stat_activity
WHERE application_name LIKE %s || '%%' AND pid <> pg_backend_pid()"""
HOLDING = """
SELECT pid, usename, application_name, state, extract(epoch FROM now() - xact_start)::int, left(query, 120)
FROM pg_stat_activity WHERE pid = ANY(%s) ORDER BY xact_start"""
CANCEL = """
SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
WHERE application_name LIKE %s || '%%' AND pid <> pg_backend_pid()"""


def look(name: str) -> List[str]:
    """A line on each connection that is in the way."""
    import_module("django").setup()
    connection = import_module("django.db").connection
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(WAITING, [name])
        pids = [row[0] for row in cursor.fetchall()]
        cursor.execute(HOLDING, [pids])
        told = [_line(*row) for row in cursor.fetchall()]
        cursor.execute(CANCEL, [name])
    return told


def _line(pid: int, user: Any, application: Any, state: Any, seconds: Any, query: Any) -> str:
    who = f"{user}" + (f" ({application})" if application else "")
    since = f" since {seconds} s" if seconds is not None else ""
    words = " ".join(str(query or "").split())
    # What others ask is nobody else's business, says PostgreSQL.
    shown = "" if words == HIDDEN else f": {words}"
    return f"process {pid} of {who} is {state or 'at work'}{since}{shown}"


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    sys.stdout.write(sys.argv[1] + json.dumps(look(sys.argv[2])) + "\n")
