"""A site in, whether its server could take a release out; and a built release in, whether it would work there.

The first asks the machine before anything is begun. The second has the new code say so, with its own environment and
virtualenv, on every server and before one of them is switched: all questions in one process, since to start Django is
what costs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import Any, Dict, List, Optional, Tuple

from release import django
from release.steps import Step, Steps
from release.switch import Order, running
from release.tools import Tools
from release.values import Failure, Site

LEAST_MB = 200  # what a release, its virtualenv and their byte code may well need
LEAST_FILES = 20_000
MARK = "-- deploymachine --"
WARNING = re.compile(r"^\S+: \((\w+\.W\d+)\)", re.MULTILINE)
# manage.py as the site has it, several times in one process; then what a worker of gunicorn does first: an error in it
# would otherwise show after the switch.
PROBE = """
import contextlib, importlib, io, json, runpy, sys, traceback
wsgi, mark, found = sys.argv[1], sys.argv[2], {}
def manage(*words):
    sys.argv = ["manage.py", *words]
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            runpy.run_path("manage.py", run_name="__main__")
    except SystemExit as end:
        if end.code not in (None, 0):
            sys.stderr.write(out.getvalue() + err.getvalue() + (end.code if isinstance(end.code, str) else ""))
            raise
    except BaseException:
        sys.stderr.write(out.getvalue() + err.getvalue())
        raise
    return out.getvalue(), err.getvalue()
def check():
    found["checked"] = "".join(manage("check", "--deploy"))
def application():
    module, _, name = wsgi.partition(":")
    getattr(importlib.import_module(module), name or "application")
def migrations():
    found["plan"] = manage("showmigrations", "--plan", "--no-color")[0]
for code, phase in enumerate((check, application, migrations), 101):
    try:
        phase()
    except SystemExit:
        sys.exit(code)
    except BaseException:
        traceback.print_exc()
        sys.exit(code)
print(mark + json.dumps(found))
"""


def machine(order: Order, steps: Steps) -> Dict[str, Any]:
    """Whether there is room, and supervisor knows the site. Raises Failure before anything was begun."""
    site = order.site
    with steps.step("preflight") as step:
        room = os.statvfs(site.root)
        free = room.f_bavail * room.f_frsize >> 20
        if free < LEAST_MB:
            raise _full(site, f"{free} MB are free, and {LEAST_MB} are wanted")
        if room.f_files and room.f_favail < LEAST_FILES:
            raise _full(site, f"{room.f_favail} more files fit, and {LEAST_FILES} are wanted")
        running(order)
        if not os.path.isfile(site.uv) and shutil.which(site.uv) is None:
            raise Failure("There is no uv on this server", where=site.uv, hint="cook the server first, then release")
        step.detail = f"{free} MB free"
    return {"free_mb": free}


def prove(site: Site, tools: Tools, name: str, step: Step) -> List[str]:
    """Have a built release check itself. Returns the migrations that its database lacks. Raises Failure."""
    project = django.project(site, name)
    python = str(site.release(name) / ".venv" / "bin" / "python")
    try:
        said = tools.run([python, "-c", PROBE, site.wsgi, MARK], cwd=project, what=f"{site.name} fails", timeout=300)
    except Failure as failure:
        failure.what, failure.hint, failure.command = _of(site, failure.exit_code)
        raise
    found = json.loads(said.rpartition(MARK)[2])
    pending = django.unapplied(found["plan"])
    told = [*_warnings(found["checked"]), *([f"{len(pending)} pending: {', '.join(pending)}"] if pending else [])]
    step.detail = "; ".join(told)
    return pending


def _of(site: Site, code: Optional[int]) -> Tuple[str, str, str]:
    """What did not work, what to do, and the command by which one sees it again."""
    told = {
        101: (f"manage.py check refuses {site.name}", django.OLD_SERVES, "manage.py check --deploy"),
        102: (f"{site.wsgi} can't be imported", django.OLD_SERVES, f"python -c 'import {site.wsgi.partition(':')[0]}'"),
        103: (
            f"The migrations of {site.name} can't be read",
            "nothing was changed, the old release goes on serving; is the database there?",
            "manage.py showmigrations",
        ),
    }
    return told.get(code or 0, (f"{site.name} can't be checked", django.OLD_SERVES, "manage.py check"))


def _warnings(text: str) -> List[str]:
    """What `check --deploy` warns of, by its identifiers."""
    known = sorted(set(WARNING.findall(text)))
    return [f"manage.py check --deploy warns of {', '.join(known)}"] if known else []


def _full(site: Site, why: str) -> Failure:
    return Failure(
        "The disk is too full for a release",
        where=str(site.root),
        why=why,
        hint="`fab appnode system.df` shows what is there; nothing was changed",
    )
