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
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {};"
READ = """
SELECT json_build_object(
  'roles', (SELECT json_object_agg(rolname, coalesce(rolpassword, '')) FROM pg_authid WHERE rolcanlogin),
  'acting', (SELECT json_object_agg(rolname, rolconfig) FROM pg_roles WHERE rolconfig IS NOT NULL),
  'databases', (SELECT json_object_agg(datname, pg_get_userbyid(datdba)) FROM pg_database));
"""


class PostgresqlRole(Resource):
    """A role that logs in with a password; None: with none, so that nobody does.

    acts_as: the role it is a member of and becomes when it logs in.
    """

    password = ResourceArgument(default=None)
    acts_as = ResourceArgument(default=None)
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
        right = verifier == "" if password is None else verifies(password, verifier)
        current = {"role": verifier is not None, "password": right, "acts_as": acted_as(self, role)}
        self.converge(current, {"role": True, "password": True, "acts_as": self.resource.acts_as}, self.write)

    def write(self, changes):
        name, password, acts_as = identifier(self.resource.name), self.resource.password, self.resource.acts_as
        verb = "CREATE" if "role" in changes else "ALTER"
        rights = "LOGIN REPLICATION" if self.resource.replication else "LOGIN"
        verifier = "NULL" if password is None else literal(Secret(make_verifier(password)))
        words = [f"{verb} ROLE {name} {rights} PASSWORD {verifier};"]
        if "acts_as" in changes and acts_as:
            owner = identifier(acts_as)
            words += [f"GRANT {owner} TO {name};", f"ALTER ROLE {name} SET role TO {owner};"]
        elif "acts_as" in changes:
            words.append(f"ALTER ROLE {name} RESET role;")
        if password is None:  # whoever came in with the one it had
            words.append(END_SESSIONS.format(literal(self.resource.name)))
        psql(" ".join(words if len(words) == 1 else ["BEGIN;", *words, "COMMIT;"]), f"role {self.resource.name}")

    def describe(self, key, _old, new):
        return {"role": "create", "password": "set the password", "acts_as": f"act as {new or 'itself'}"}[key]


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


def acted_as(provider, role):
    """The role that one becomes when it logs in; None: it stays itself."""
    told = (contents(provider).get("acting") or {}).get(role) or []
    return next((word.partition("=")[2].strip('"') for word in told if word.startswith("role=")), None)


def contents(provider):
    """{"roles": {name: verifier}, "databases": {name: owner}, "acting": {name: settings}} as this run found them."""
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
