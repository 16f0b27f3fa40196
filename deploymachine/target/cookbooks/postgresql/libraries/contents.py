"""Roles and databases as resources: what PostgreSQL holds is read once a run, all of it, by one psql."""

import json
import shutil

from kokki import BooleanArgument, Fail, ForcedListArgument, Provider, Resource, ResourceArgument, process
from kokki.secrets import Secret

CREATE = (*Resource.actions, "create")
PSQL = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d"]
# Neither the server's log nor ours keeps what verifiers stand in, and nothing of ours is ended for being slow.
UNHEARD = {
    "client_min_messages": "error",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_error_statement": "panic",
    "statement_timeout": "0",
}
READ = """
SELECT json_build_object(
  'roles', (SELECT json_object_agg(rolname, coalesce(rolpassword, '')) FROM pg_authid WHERE rolcanlogin),
  'databases', (SELECT json_object_agg(datname, pg_get_userbyid(datdba)) FROM pg_database));
"""


class PostgresqlRole(Resource):
    """A role that logs in with a password."""

    password = ResourceArgument(required=True)
    replication = BooleanArgument(default=False)
    action = ForcedListArgument(default="create")
    actions = CREATE
    provider = "*postgresql.PostgresqlRoleProvider"


class PostgresqlDatabase(Resource):
    """A database in UTF-8, whatever the locale of the cluster is."""

    owner = ResourceArgument(required=True)
    action = ForcedListArgument(default="create")
    actions = CREATE
    provider = "*postgresql.PostgresqlDatabaseProvider"


class PostgresqlRoleProvider(Provider):
    tells_the_future = True

    def action_create(self):
        role, password = self.resource.name, self.resource.password
        verifier = contents(self)["roles"].get(role)
        current = {"role": verifier is not None, "password": verifies(password, verifier)}
        self.converge(current, {"role": True, "password": True}, self.write)

    def write(self, changes):
        verb = "CREATE" if "role" in changes else "ALTER"
        verifier = Secret(make_verifier(self.resource.password))
        rights = "LOGIN REPLICATION" if self.resource.replication else "LOGIN"
        psql(
            f"{verb} ROLE {identifier(self.resource.name)} {rights} PASSWORD {literal(verifier)};",
            f"role {self.resource.name}",
        )

    def describe(self, key, _old, _new):
        return {"role": "create", "password": "set the password"}[key]


class PostgresqlDatabaseProvider(Provider):
    tells_the_future = True

    def action_create(self):
        current = {"owner": contents(self)["databases"].get(self.resource.name)}
        self.converge(current, {"owner": self.resource.owner}, self.write)

    def write(self, changes):
        name, owner = identifier(self.resource.name), identifier(self.resource.owner)
        if changes["owner"][0] is None:
            sql = f"CREATE DATABASE {name} OWNER {owner} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';"
        else:
            sql = f"ALTER DATABASE {name} OWNER TO {owner};"
        psql(sql, f"database {self.resource.name}")

    def describe(self, _key, old, new):
        return f"create, owner {new}" if old is None else f"owner {old} -> {new}"


def contents(provider):
    """{"roles": {name: verifier}, "databases": {name: owner}} as this run found them."""
    run = provider.env.config.postgresql
    if "_contents" not in run:
        coming = provider.env.dry_run and not shutil.which("psql")
        run["_contents"] = {"roles": {}, "databases": {}} if coming else json.loads(psql(READ, "what PostgreSQL holds"))
    return run["_contents"]


def psql(sql, what, database="postgres"):
    """Run SQL as the superuser and return what it printed. It goes in by stdin: everybody can read an argument list."""
    quiet = {"PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in UNHEARD.items())}
    done = process.run([*PSQL, database], user="postgres", cwd="/", stdin=sql, environment=quiet)
    if done.code != 0:
        raise Fail(f"{what}: PostgreSQL refuses", command="psql", exit_code=done.code, output=done.lines)
    return done.output


def identifier(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    """A string constant; the verifiers it is made for hold no quote and no backslash."""
    return "'" + text.replace("'", "''") + "'"
