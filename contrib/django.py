"""manage.py of a site on its servers: any command, its shells, its data, and settings to begin with."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from invoke.context import Context

from deploymachine.contrib._site import SITE, run, run_at_terminal, run_into
from deploymachine.errors import UsageError
from deploymachine.site_names import chosen
from deploymachine.tasks import task
from deploymachine.tasks._deployment import settings
from deploymachine.tasks._prompt import agreed

MANAGE = ("python", "manage.py")
# They act on the database that all servers share: done twice at once they would be in each other's way.
SHARED = ("flush", "loaddata", "migrate", "clearsessions", "createcachetable", "remove_stale_contenttypes")
TOLD = ("dumpdata", "inspectdb", "showmigrations", "sqlflush", "sqlmigrate", "sqlsequencereset", "sendtestemail")
ASKING = ("shell", "dbshell", "changepassword", "createsuperuser", "shell_plus")
ONCE = frozenset([*SHARED, *TOLD, *ASKING])
ANSWERED = ("-c", "--command", "--noinput", "--no-input", "--")
FORMATS = {".json": "json", ".jsonl": "jsonl", ".xml": "xml", ".yaml": "yaml", ".yml": "yaml"}
# Passwords come on stdin and go into the environment: arguments are for everybody on the server to see.
SUPERUSER = """
for name in USERNAME EMAIL PASSWORD; do IFS= read -r value; export "DJANGO_SUPERUSER_$name=$value"; done
exec python manage.py createsuperuser --noinput
"""


@task(
    positional=["command"],
    help={
        **SITE,
        "command": "what follows manage.py, in one word: 'check --tag models'",
        "once": "on the first of the servers only",
        "interactive": "at this terminal, on the first of the servers",
    },
)
def manage(_: Context, command: str, site: str = "", once: bool = False, interactive: bool = False) -> None:
    """Run any command of manage.py: `fab appnode django.manage 'check --deploy' --site blog`.

    On every selected server at once; those that act on the database all share (migrate, loaddata ...), and shells, on
    the first. It changes what that command changes.
    """
    argv = split(command)
    if interactive or (argv[0] in ASKING and sys.stdin.isatty() and not any(word in ANSWERED for word in argv)):
        run_at_terminal([*MANAGE, *argv], site)
    else:
        run_manage(argv, site, once=once or None)


@task(help={**SITE, "command": "Python to run instead of asking for it: 'print(1)'"})
def shell(_: Context, site: str = "", command: str = "") -> None:
    """Talk to the site's Django at this terminal: `fab appnode django.shell --site blog`. On the first server."""
    if command:
        run_manage(["shell", "-c", command], site)
    else:
        run_at_terminal([*MANAGE, "shell"], site)


@task(help={**SITE, "command": "SQL to run instead of asking for it: 'select 1'"})
def dbshell(_: Context, site: str = "", command: str = "") -> None:
    """Talk to the site's database, as the site may: `fab appnode django.dbshell --site blog`. On the first server."""
    if command:
        run_manage(["dbshell", "--", "-c", command], site)
    else:
        run_at_terminal([*MANAGE, "dbshell"], site)


@task(
    help={
        **SITE,
        "app": "only this app's",
        "to": "up to, or back to, this one: 0003, or zero",
        "plan": "show what would be done, do nothing",
        "yes": "do not ask, where something is taken back",
    }
)
def migrate(_: Context, site: str = "", app: str = "", to: str = "", plan: bool = False, yes: bool = False) -> None:
    """Apply the live release's migrations, once: `fab appnode django.migrate`. A deploy does so by itself.

    Changes the database. With --to it may take migrations back, with the data in what they made: it asks first.
    """
    if to and not app:
        raise UsageError("--to needs --app", why="a migration is one of an app's", hint="--app blog --to 0003")
    what = f"{app} is brought to migration {to}; what later ones made is dropped with its data. Go on?"
    if to and not plan and not agreed(what, yes):
        raise UsageError("Nothing was migrated")
    words = [word for word in (app, to) if word]
    run_manage(["migrate", "--noinput", *(["--plan"] if plan else []), *(["--", *words] if words else [])], site)


@task(help={**SITE, "app": "only this app's", "plan": "in the order in which they are applied"})
def showmigrations(_: Context, site: str = "", app: str = "", plan: bool = False) -> None:
    """Show which migrations are applied: `fab appnode django.showmigrations --site blog`. Changes nothing."""
    run_manage(["showmigrations", *(["--plan"] if plan else []), *(["--", app] if app else [])], site)


@task(help={**SITE, "clear": "remove what is no file of the site's any more"})
def collectstatic(_: Context, site: str = "", clear: bool = False) -> None:
    """Collect the live release's static files anew: `fab appnode django.collectstatic`. A deploy does so by itself."""
    run_manage(["collectstatic", "--noinput", *(["--clear"] if clear else [])], site)


@task(help={**SITE, "username": "who it is", "email": "its address"})
def createsuperuser(_: Context, site: str = "", username: str = "", email: str = "") -> None:
    """Add an account that may do everything: `fab appnode django.createsuperuser --username ada`.

    Asks for the password at the terminal. Where there is none DJANGO_SUPERUSER_PASSWORD in your environment is taken.
    """
    password = os.environ.get("DJANGO_SUPERUSER_PASSWORD", "")
    if not password and sys.stdin.isatty():
        given = [f"--{name}={value}" for name, value in (("username", username), ("email", email)) if value]
        run_at_terminal([*MANAGE, "createsuperuser", *given], site)
        return
    if not password or not username:
        raise UsageError(
            "A password and a --username are needed",
            why="there is no terminal to ask on",
            hint="DJANGO_SUPERUSER_PASSWORD in the environment gives the password",
        )
    lines = (username, email, password)
    if any("\n" in line for line in lines):
        raise UsageError("A name, an address and a password are one line each")
    run(["sh", "-c", SUPERUSER], site, once=True, given=[f"{line}\n".encode() for line in lines])


@task(help={**SITE, "deploy": "also what matters on servers only", "tag": "only these checks: models, security ..."})
def check(_: Context, site: str = "", deploy: bool = False, tag: str = "") -> None:
    """Have Django check the live release on each server: `fab appnode django.check --deploy`. Changes nothing."""
    run_manage(["check", *(["--deploy"] if deploy else []), *([f"--tag={tag}"] if tag else [])], site)


@task(
    help={
        **SITE,
        "models": "apps and models, with commas: auth.User,blog; all where none is named",
        "exclude": "but not these",
        "to": "the file; its ending says the format: .json, .jsonl, .xml, .yaml",
    }
)
def dumpdata(_: Context, site: str = "", models: str = "", exclude: str = "", to: str = "") -> None:
    """Bring a site's data here as a file: `fab appnode django.dumpdata --site blog --models auth.User --to users.json`.

    The file can be read by you alone. Changes nothing on servers.
    """
    name = chosen(site, settings().SITES)
    path = Path(to or f"{name}-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}.json")
    if path.exists():
        raise UsageError(f"{path} is there already", hint="--to names another file")
    size = dump(path, _listed(models), exclude=_listed(exclude), site=name)
    print(f"{path}: {size} bytes")


@task(positional=["file"], help={**SITE, "file": "a file here, as dumpdata makes it"})
def loaddata(_: Context, file: str, site: str = "") -> None:
    """Load a file from here into a site's database: `fab appnode django.loaddata users.json --site blog`.

    All of it or nothing. Rows that are there with the same key are replaced.
    """
    load(Path(file), site)


@task(
    help={
        **SITE,
        "to": "the file to write, in the project: blog/settings_server.py; else it is shown",
        "base": "the settings it adds to; those of the site where none are named",
        "yes": "replace the file where there is one",
    }
)
def generate_settings(_: Context, site: str = "", to: str = "", base: str = "", yes: bool = False) -> None:
    """Write settings for servers, to be committed: `fab django.generate_settings --to blog/settings_server.py`.

    They add to the project's own what servers say in the environment: database, cache, broker, hosts, keys. No secret
    is in them. Name them in SITES then: "settings_module": "blog.settings_server". Changes nothing else.
    """
    from deploymachine.settings_module import settings_module

    sites = settings().SITES
    text = settings_module(base or sites[chosen(site, sites)].settings_module)
    if not to:
        print(text, end="")
        return
    path = Path(to)
    if path.exists() and not agreed(f"{path} is replaced. Go on?", yes):
        raise UsageError("Nothing was written")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} can't be written", why=error.strerror or str(error)) from None


def run_manage(
    argv: Sequence[str],
    site: str = "",
    *,
    once: bool | None = None,
    given: Iterable[bytes] = (),
    quiet: bool = False,
) -> dict[str, str]:
    """Run `manage.py` with these words, on the selected servers that have the site; server name -> what it printed.

    once: on the first of them only; None: where the command is one that acts on the database they share. given: what
    it reads on its stdin. quiet: show nothing. Raises ConvergeError for each server where it failed.
    """
    alone = argv[0] in ONCE if once is None else once
    return run([*MANAGE, *argv], site, once=alone, given=given, quiet=quiet)


def dump(path: Path, models: Sequence[str] = (), *, exclude: Sequence[str] = (), site: str = "") -> int:
    """Bring a site's data here, as dumpdata writes it; the size in bytes. Raises UsageError, ConvergeError."""
    left_out = [f"--exclude={name}" for name in exclude]
    words = ["dumpdata", f"--format={_format(path)}", "--natural-foreign", *left_out]
    return run_into([*MANAGE, *words, *(["--", *models] if models else [])], path, site)


def load(path: Path, site: str = "") -> None:
    """Load a file from here into a site's database, all of it or nothing. Raises UsageError, ConvergeError."""
    form = _format(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} can't be read", why=error.strerror or str(error)) from None
    run_manage(["loaddata", f"--format={form}", "-"], site, once=True, given=[data])


def split(command: str) -> list[str]:
    """The words of a command as a shell would tell them apart; nothing else of a shell's. Raises UsageError."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{command!r} can't be read", why=str(error), hint="quotes come in pairs") from None
    if not words:
        raise UsageError("Which command?", hint="`fab appnode django.manage help` lists those the site has")
    return words


def _format(path: Path) -> str:
    if path.suffix not in FORMATS:
        raise UsageError(f"{path}: nobody knows this format", why=f"the endings are {', '.join(FORMATS)}")
    return FORMATS[path.suffix]


def _listed(words: str) -> list[str]:
    return [word for word in words.split(",") if word]
