"""One database: asked by SQL, made, dropped, measured, cleaned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from deploymachine.contrib._servers import at_terminal, on_servers
from deploymachine.contrib.postgresql import _there
from deploymachine.contrib.postgresql._there import DATABASE, YES, chosen, megabytes
from deploymachine.errors import UsageError
from deploymachine.tasks import deployment, task
from deploymachine.tasks._prompt import agreed, typed
from deploymachine.tasks._table import print_table

if TYPE_CHECKING:
    from deploymachine.inventory import Server

DATABASES = """
SELECT datname AS name, pg_get_userbyid(datdba) AS owner, pg_database_size(oid) AS size,
  (SELECT count(*) FROM pg_stat_activity AS one WHERE one.datid = database.oid) AS connections
FROM pg_database AS database WHERE NOT datistemplate ORDER BY size DESC"""
CREATE = """CREATE DATABASE :"name" OWNER :"owner" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';"""
TABLES = """
SELECT schemaname || '.' || relname AS name, pg_total_relation_size(relid) AS size,
  pg_indexes_size(relid) AS indexes, n_live_tup AS rows, n_dead_tup AS dead
FROM pg_stat_user_tables ORDER BY 2 DESC LIMIT 30"""


@task(help={**DATABASE, "command": "SQL to run; without it you type it", "superuser": "as that, not as its owner"})
def psql(_: Context, database: str = "", command: str = "", superuser: bool = False) -> None:
    """Ask a database: `fab dbserver postgresql.psql`, or with `--command "SELECT count(*) FROM auth_user"`.

    On the server itself and in the name of the database's owner, so that what is made there is the site's. Without
    --command it is an interactive psql. Changes what the SQL changes.
    """
    here = deployment()
    name = chosen(database, here)
    owner = here.settings.DATABASES[name].owner if name in here.settings.DATABASES and not superuser else ""
    servers = _there.keepers(here)
    server = servers[0] if len(servers) == 1 else _there.primary(here)
    if command:
        on_servers([server], _there.psql(name, given=[command.encode()], role=owner), here)
    else:
        at_terminal(server, _there.psql(name, role=owner), here)


@task(help={"database": "the name of the new one", "owner": "a role that is there; default as DATABASES says"})
def create(_: Context, database: str, owner: str = "") -> None:
    """Make an empty database: `fab dbserver postgresql.create --database scratch --owner guestbook`.

    Changes nothing where it is there already. What a site needs belongs into DATABASES: `fab dbserver kokki`.
    """
    here = deployment()
    name = chosen(database, here)
    declared = here.settings.DATABASES.get(name)
    role = owner or (declared.owner if declared is not None else "")
    if not role:
        roles = ", ".join(sorted({one.owner for one in here.settings.DATABASES.values()})) or "none yet"
        raise UsageError(f"Whose shall {name} be?", why=f"the owners there are: {roles}", hint="`--owner ROLE` says it")
    server = _there.primary(here)
    if _there.ask([server], "SELECT 1 FROM pg_database WHERE datname = :'name'", here, name=name)[server.name]:
        print(f"{name} is there already")
        return
    _do(server, CREATE, name, role)
    print(f"{name} is made, of {role}, on {server.name}")


@task(help={"database": "which", "yes_i_mean_it": "its name, where nobody can type it"})
def drop(_: Context, database: str, yes_i_mean_it: str = "") -> None:
    """Remove a database and all that is in it: `fab dbserver postgresql.drop --database scratch`.

    Asks for its name; refuses where PROTECTED names it. Who is connected is cut off.
    """
    from deploymachine.protected import refuse_database

    here = deployment()
    name = chosen(database, here)
    refuse_database(f"to drop the database {name}", name, here.settings)
    server = _there.primary(here)
    found = _there.ask(
        [server], "SELECT pg_database_size(oid) AS size FROM pg_database WHERE datname = :'name'", here, name=name
    )[server.name]
    if not found:
        raise UsageError(f"There is no database {name!r} on {server.name}", hint="`fab dbserver postgresql.size`")
    if not typed(f"{name} ({megabytes(found[0]['size'])}) on {server.name} is removed", name, yes_i_mean_it):
        raise UsageError("Nothing was dropped")
    _do(server, 'DROP DATABASE :"name" WITH (FORCE);', name)
    again = "; `fab dbserver kokki` would make it again, empty" if name in here.settings.DATABASES else ""
    print(f"{name} is gone{again}")


@task(help={"database": "show the largest tables of this one; default: all databases"})
def size(_: Context, database: str = "") -> None:
    """How large databases are, or the tables of one: `fab dbserver postgresql.size --database guestbook`."""
    here = deployment()
    servers = _there.keepers(here)
    if database:
        told = _there.ask(servers, TABLES, here, chosen(database, here))
        rows = [
            [server, one["name"], megabytes(one["size"]), megabytes(one["indexes"]), str(one["rows"]), str(one["dead"])]
            for server, found in told.items()
            for one in found
        ]
        print_table(("server", "table", "size", "of it indexes", "rows", "dead rows"), rows)
        return
    told = _there.ask(servers, DATABASES, here)
    rows = [
        [server, one["name"], one["owner"], megabytes(one["size"]), str(one["connections"])]
        for server, found in told.items()
        for one in found
    ]
    print_table(("server", "database", "owner", "size", "connections"), rows)


@task(help={**DATABASE, "full": "give the disk back as well; locks every table while it goes on", **YES})
def vacuum(_: Context, database: str = "", full: bool = False, yes: bool = False) -> None:
    """Clean up what deleted rows left, and count anew for the planner: `fab dbserver postgresql.vacuum`.

    PostgreSQL does that by itself; after a large load or delete one may want it now. --full asks first.
    """
    here = deployment()
    name = chosen(database, here)
    if full and not agreed(f"Nobody can use a table of {name} while it is rewritten. Go on?", yes):
        raise UsageError("Nothing was changed")
    server = _there.primary(here)
    sql = "VACUUM (FULL, ANALYZE);" if full else "VACUUM (ANALYZE);"
    on_servers([server], _there.psql(name, ["-q"], [sql.encode()]), here)
    print(f"{name} is clean")


def _do(server: Server, sql: str, name: str, owner: str = "") -> None:
    words = ["-q", "-v", f"name={name}", "-v", f"owner={owner}"]
    on_servers([server], _there.psql("postgres", words, [sql.encode()]), deployment(), quiet=True)
