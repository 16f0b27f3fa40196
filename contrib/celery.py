"""Tasks that nobody waits for: who works on them, what waits, and what shall wait no more."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from typing import Any

from invoke.context import Context

from deploymachine.contrib._servers import on_servers
from deploymachine.contrib._site import SITE, Place, place
from deploymachine.contrib.supervisor import again
from deploymachine.errors import ConvergeError, UsageError
from deploymachine.tasks import task
from deploymachine.tasks._prompt import agreed

# Runs in the site's own virtualenv. Everything that listens answers by way of the broker.
LOOK = """
import json, sys
name, wanted, queues = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
def look():
    from celery.app.utils import find_app
    app = find_app(name)
    stats = (wanted and app.control.inspect(timeout=1.5).stats()) or {}
    if missing := sorted(set(wanted) - set(stats)):
        stats.update(app.control.inspect(timeout=5, destination=missing, limit=len(missing)).stats() or {})
    # Who is there is known now: no need to wait for others.
    ask = app.control.inspect(timeout=5, destination=list(stats), limit=len(stats))
    told = {"stats": stats, "active": stats and ask.active(), "reserved": stats and ask.reserved(), "waiting": {}}
    with app.connection_for_read() as connection:
        for queue in queues:
            try:
                told["waiting"][queue] = connection.channel().queue_declare(queue, passive=True).message_count
            except connection.channel_errors:
                told["waiting"][queue] = 0
    return told
try:
    told = look()
except Exception as error:
    told = {"error": f"{type(error).__name__}: {error}"}
print("\\n" + json.dumps(told, default=str))
"""


@task(help={**SITE, "json": "as JSON, with what each worker is doing"})
def status(_: Context, site: str = "", json: bool = False) -> None:
    """Show a site's workers, wherever they are, and how many tasks wait: `fab tasknode celery.status --site blog`.

    Asks by way of the broker, from the first of the selected servers. Changes nothing.
    """
    from deploymachine.servertypes import tasknode
    from deploymachine.tasks._table import print_json, print_table

    there = place(site)
    told = look(there)
    if json:
        print_json(told)
        return
    rows = [_row(name, told) for name in sorted({*told["stats"], *tasknode.workers(there.site, there.here)})]
    print_table(("worker", "processes", "working on", "fetched", "done"), rows)
    print_table(("queue", "waiting"), [(name, str(count)) for name, count in told["waiting"].items()])


@task(help={**SITE, "queue": "only this one; several with commas", "yes": "do not ask"})
def purge(_: Context, site: str = "", queue: str = "", yes: bool = False) -> None:
    """Throw away the tasks that wait, for good: `fab tasknode celery.purge --site blog --queue mail`. Asks first.

    What workers have begun or fetched already goes on.
    """
    there = place(site)
    names = [name for name in queue.split(",") if name] or queues(there)
    if unknown := [name for name in names if name not in queues(there)]:
        raise UsageError(f"{there.site} has no queue {unknown[0]!r}", why=f"its queues are {', '.join(queues(there))}")
    waiting = look(there, workers=False)["waiting"]
    told = ", ".join(f"{waiting[name]} in {name}" for name in names)
    if not agreed(f"The tasks of {there.site} that wait are thrown away ({told}). Go on?", yes):
        raise UsageError("Nothing was thrown away")
    argv = ["celery", "--app", app(there), "purge", "--force", "--queues", ",".join(names)]
    on_servers([there.first], there.order(argv), there.here)


@task(help=SITE)
def restart(_: Context, site: str = "") -> None:
    """Start a site's workers and its beat anew; what they have begun they finish: `fab tasknode celery.restart`."""
    again(site, tasks_only=True)


def look(there: Place, *, workers: bool = True) -> dict[str, Any]:
    """{"stats", "active", "reserved": {worker: ...}, "waiting": {queue: number}}, as Celery tells it.

    workers: False where only the queues are asked for. Raises ConvergeError where the broker is away.
    """
    from deploymachine.servertypes import tasknode

    wanted = tasknode.workers(there.site, there.here) if workers else []
    argv = ["python", "-c", LOOK, app(there), json_module.dumps(wanted), json_module.dumps(queues(there))]
    order = there.order(argv, called=f"celery inspect of {there.site}")
    said = on_servers([there.first], order, there.here, quiet=True)[there.first.name]
    found: dict[str, Any] = json_module.loads(said.strip().splitlines()[-1])
    if why := found.get("error"):
        hint = "`fab status` tells whether the broker is there"
        raise ConvergeError(f"The workers of {there.site} can't be asked", where=there.first.where, why=why, hint=hint)
    return found


def app(there: Place) -> str:
    """As `celery --app` takes it. Raises UsageError where the site has no Celery."""
    celery = there.here.settings.SITES[there.site].celery
    if celery is None:
        raise UsageError(
            f"{there.site} has no Celery", hint=f"SITES[{there.site!r}]['celery'] in settings.py gives it one"
        )
    return celery.app


def queues(there: Place) -> list[str]:
    app(there)
    celery = there.here.settings.SITES[there.site].celery
    return list(celery.queues) if celery is not None else []


def _row(name: str, told: dict[str, Any]) -> Sequence[str]:
    if name not in told["stats"]:
        return name, "", "DOES NOT ANSWER", "", ""
    stats = told["stats"][name]
    active = (told["active"] or {}).get(name, [])
    names = ", ".join(sorted({str(one.get("name", "?")) for one in active}))
    return (
        name,
        str((stats.get("pool") or {}).get("max-concurrency", "")),
        f"{len(active)}: {names}" if active else "0",
        str(len((told["reserved"] or {}).get(name, []))),
        str(sum((stats.get("total") or {}).values())),
    )
