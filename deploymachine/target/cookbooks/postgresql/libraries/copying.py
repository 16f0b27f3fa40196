"""A primary in, a copy of it that follows what it does out; and the refusal to make one of what has data of its own."""

import os
import shutil
import time

from kokki import Fail, ForcedListArgument, Provider, Resource, ResourceArgument, process

RETIRED = "/var/lib/deploymachine/postgresql-retired"
ENDED = "# deploymachine\ndisabled\n"  # what start.conf says then
PATIENCE, PAUSE = 300, 2  # seconds; the primary may just be cooked, too, and not let us in yet
WHO = "`fab dbserver postgresql.primary` asks all of them who leads, and notes it"


def is_retired():
    """Whether this server's databases were given up to another's."""
    return os.path.exists(RETIRED)


def was_ended(version):
    """Whether `absent` saw to it that PostgreSQL stays stopped; what was given up stays so for another reason."""
    try:
        with open(f"/etc/postgresql/{version}/main/start.conf") as file:
            return file.read() == ENDED and not is_retired()
    except OSError:
        return False


def is_replica(data):
    return os.path.exists(f"{data}/standby.signal")


def was_used(data):
    """Whether the cluster there was ever started: its first start leaves this file for good."""
    return os.path.exists(f"{data}/postmaster.opts")


def refuse_to_change_sides(config, version):
    """A server that leads is never made to follow by a cook, nor one that follows to lead: only people say so."""
    data = f"/var/lib/postgresql/{version}/main"
    if config.primary is None and is_replica(data):
        raise Fail("PostgreSQL here is a replica, and not the primary that it is taken for", hint=WHO)
    if config.primary is not None and was_used(data) and not is_replica(data):
        raise Fail(
            f"PostgreSQL here has data of its own: it can't become a replica of {config.primary['name']}",
            hint=f"{WHO};\n`fab dbserver postgresql.follow --server NAME` has NAME follow, and keeps its data aside",
        )


def refuse_to_lead_again(config):
    if config.primary is None:
        raise Fail("The databases here were given up to another server's; this one is not the primary", hint=WHO)


def refuse_to_leave_alone():
    """Databases that nobody took over are never stopped for good, nor removed."""
    for version in versions():
        if was_used(data(version)) and not is_replica(data(version)) and not is_retired():
            raise Fail(
                "PostgreSQL here is a primary: no other server has taken its databases over",
                hint="`fab dbserver postgresql.promote --server NAME` has another take over",
            )


class PostgresqlCopy(Resource):
    """name: the data directory. What Debian's package puts there, never used, gives way to a copy of the primary's."""

    primary = ResourceArgument(required=True)
    slot = ResourceArgument(required=True)
    tls = ResourceArgument(required=True)
    passfile = ResourceArgument(required=True)
    action = ForcedListArgument(default="create")
    actions = (*Resource.actions, "create")
    provider = "*postgresql.PostgresqlCopyProvider"


class PostgresqlCopyProvider(Provider):
    tells_the_future = True

    def action_create(self):
        current = {"replica": is_replica(self.resource.name)}
        self.converge(current, {"replica": True}, lambda _changes: self.copy())

    def describe(self, _key, _old, _new):
        return f"copied from {self.resource.primary['name']}"

    def copy(self):
        """Beside the data, then in their place: killed anywhere, the next run does it anew."""
        data, beside = self.resource.name, f"{self.resource.name}.copying"
        shutil.rmtree(beside, ignore_errors=True)
        self.fetch(beside)
        with open(f"{beside}/standby.signal", "w") as signal:
            shutil.chown(signal.name, "postgres", "postgres")
        if os.path.isdir(data):
            if was_used(data):
                raise Fail(f"{data} has data of its own")
            shutil.rmtree(data)
        os.rename(beside, data)

    def fetch(self, target):
        resource, until = self.resource, time.monotonic() + PATIENCE
        login = (
            f"host={resource.primary['address']} port={resource.primary['port']} user=replication connect_timeout=10"
            f" sslmode=verify-full sslrootcert={resource.tls}/authority.pem passfile={resource.passfile}"
        )
        words = ["-D", target, "-X", "stream", "-S", resource.slot, "-c", "fast", "-w", "-d", login]
        while True:
            done = process.run(["pg_basebackup", *words], user="postgres", cwd="/")
            if done.code == 0:
                return
            shutil.rmtree(target, ignore_errors=True)
            if time.monotonic() > until:
                hint = f"`fab server:{resource.primary['name']} kokki` has the primary let this server in"
                raise Fail("The primary's data can't be copied", exit_code=done.code, output=done.lines, hint=hint)
            time.sleep(PAUSE)
