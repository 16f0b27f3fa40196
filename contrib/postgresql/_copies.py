"""Copies of one database: dumps on the server and here, and a database that a dump takes the place of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from deploymachine.contrib._servers import into_file, on_servers
from deploymachine.contrib.postgresql import _there
from deploymachine.contrib.postgresql._there import DATABASE, YES, chosen, megabytes
from deploymachine.errors import UsageError
from deploymachine.tasks import deployment, task
from deploymachine.tasks._prompt import agreed
from deploymachine.tasks._report import reported
from deploymachine.tasks._table import print_table

if TYPE_CHECKING:
    from deploymachine.inventory import Server
    from deploymachine.servertypes import Deployment

FOLDER = "/var/lib/postgresql/dumps"
PUT = """umask 077 && mkdir -p "$1" && cat > "$1/$2.part" && [ "$(stat -c %s "$1/$2.part")" = "$3" ] &&
mv "$1/$2.part" "$1/$2" """
CHUNK = 1 << 18


@task(help=DATABASE)
def dump(_: Context, database: str = "") -> None:
    """Write a copy of a database to a file on its server: `fab dbserver postgresql.dump`. Sites work on meanwhile.

    It lies in /var/lib/postgresql/dumps; the last five of each database stay. `postgresql.load` brings it back.
    """
    from deploymachine import databases

    here = deployment()
    name, server = chosen(database, here), _there.primary(here)
    with reported() as shown:
        answer = databases.do(server, "dump", here, shown, database=name)
    print(f"{answer['dump']}, {megabytes(answer['size'])}, on {server.name}")


@task()
def dumps(_: Context) -> None:
    """List the dumps that lie on the server: `fab dbserver postgresql.dumps`."""
    from deploymachine import databases

    here = deployment()
    server = _there.primary(here)
    rows = [
        [one["dump"], f"{datetime.fromtimestamp(one['at'], timezone.utc):%Y-%m-%d %H:%M:%S}", megabytes(one["size"])]
        for one in databases.look(server, "dumps", here)["dumps"]
    ]
    print_table(("dump", "at (UTC)", "size"), rows)


@task(help={**DATABASE, "dump": "which, as postgresql.dumps lists them; default: the newest of that database", **YES})
def load(_: Context, database: str = "", dump: str = "", yes: bool = False) -> None:
    """Have a dump that lies on the server take a database's place: `fab dbserver postgresql.load`. Asks.

    The dump is brought into a new database first; if that fails nothing was changed. Then the two change places in a
    moment: connections are cut once, what was written since the dump is set aside with the old one, and you are told
    its name. Refuses where PROTECTED names the database or a site that uses it.
    """
    here = deployment()
    name = chosen(database, here)
    _refuse_protected(name, here)
    server = _there.primary(here)
    _agree(name, f"{dump or 'its newest dump'} on {server.name}", server, yes)
    _load(name, dump, server, here)


@task(help={**DATABASE, "to": "the file to write; default: DATABASE-TIME.dump here"})
def pull(_: Context, database: str = "", to: str = "") -> None:
    """Copy a database to this machine: `fab dbserver postgresql.pull --to guestbook.dump`. Sites work on meanwhile.

    Changes nothing on the server and leaves nothing there. `pg_restore` reads the file, and so does `postgresql.push`.
    """
    from deploymachine.remote import Order

    here = deployment()
    name = chosen(database, here)
    path = Path(to or f"{name}-{_now()}.dump").expanduser()
    if path.exists():
        raise UsageError(f"{path} is there already", hint="name another file by --to, or remove it")
    if not path.parent.is_dir():
        raise UsageError(f"There is no directory {path.parent}", hint="make it, or name another file by --to")
    server = _there.primary(here)
    argv = ["env", "-C", "/", "pg_dump", "-Fc", "-d", name]
    print(f"{path}, {megabytes(into_file(server, Order(argv, 'postgres'), here, path))}, of {name} on {server.name}")


@task(help={"file": "a file here: what postgresql.pull or `pg_dump -Fc` wrote, or SQL", **DATABASE, **YES})
def push(_: Context, file: str, database: str = "", yes: bool = False) -> None:
    """Have a dump from here take a database's place: `fab dbserver postgresql.push --file guestbook.dump`. Asks.

    It goes to the server, then all is as with postgresql.load: nothing is changed unless it can be read to its end, and
    what the database was is set aside. Refuses where PROTECTED names the database or a site that uses it.
    """
    here = deployment()
    name = chosen(database, here)
    _refuse_protected(name, here)
    path = Path(file).expanduser()
    size = _size(path)
    server = _there.primary(here)
    _agree(name, f"{path} ({megabytes(size)})", server, yes)
    dump = f".pushed-{name}-{_now()}.dump"
    _put(path, dump, size, server, here)
    _load(name, dump, server, here, called=str(path))


def _refuse_protected(name: str, here: Deployment) -> None:
    from deploymachine.protected import refuse_database

    refuse_database(f"to replace the database {name}", name, here.settings)


def _agree(name: str, source: str, server: Server, yes: bool) -> None:
    what = f"The database {name} on {server.name} is replaced by {source}; connections are cut once"
    if not agreed(f"{what}. Go on?", yes):
        raise UsageError("Nothing was changed")


def _load(name: str, dump: str, server: Server, here: Deployment, called: str = "") -> None:
    from deploymachine import databases

    declared = here.settings.DATABASES.get(name)
    owner = declared.owner if declared is not None else ""
    with reported() as shown:
        answer: dict[str, Any] = databases.do(server, "load", here, shown, database=name, dump=dump, owner=owner)
    print(f"{name} is what {called or answer['dump']} holds")
    if answer["aside"]:
        print(f"What it was: {answer['aside']}; `fab dbserver postgresql.drop --database {answer['aside']}` some day")


def _size(path: Path) -> int:
    try:
        with path.open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                raise UsageError(f"{path} is compressed by gzip", hint=f"`gunzip {path}`, then push that")
            return file.seek(0, 2)
    except OSError as error:
        raise UsageError(f"{path} can't be read", why=error.strerror or str(error)) from None


def _put(path: Path, dump: str, size: int, server: Server, here: Deployment) -> None:
    """Its last step is the rename: an upload that was cut is no dump."""
    from deploymachine.remote import Order

    def parts() -> Iterator[bytes]:
        with path.open("rb") as file:
            while data := file.read(CHUNK):
                yield data

    argv = ["env", "-C", "/", "sh", "-c", PUT, "sh", FOLDER, dump, str(size)]
    on_servers([server], Order(argv, "postgres", parts(), called=f"upload of {path.name}"), here, quiet=True)


def _now() -> str:
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}"
