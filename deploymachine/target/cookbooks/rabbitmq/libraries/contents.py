"""Users and their vhosts as resources: what RabbitMQ holds is read once a run, all of it, by one rabbitmqctl."""

import base64
import hashlib
import hmac
import json
import os
import shutil
from contextlib import contextmanager

from kokki import Fail, ForcedListArgument, Provider, Resource, ResourceArgument, process
from kokki.secrets import Secret

EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}
ALGORITHM = "rabbit_password_hashing_sha256"
HOME = "/var/lib/rabbitmq"
PATIENCE = 120  # seconds; it takes two or three
SALT = 4  # bytes in front of every hash


class RabbitmqUser(Resource):
    """A user that may do everything in one vhost, that of its own name unless it is told, and nothing elsewhere."""

    password = ResourceArgument()
    vhost = ResourceArgument(default=None)
    action = ForcedListArgument(default="create")
    actions = (*Resource.actions, "create", "delete")
    provider = "*rabbitmq.RabbitmqUserProvider"


class RabbitmqUserProvider(Provider):
    tells_the_future = True

    def action_create(self):
        name, vhost, holds = self.resource.name, self.vhost, contents(self)
        stored = holds["users"].get(name)
        current = {
            "user": stored is not None,
            "password": verifies(self.resource.password, stored),
            "vhost": vhost in holds["vhosts"],
            "permissions": (name, vhost) in holds["permissions"],
        }
        self.converge(current, dict.fromkeys(current, True), lambda _changes: self.write())

    @property
    def vhost(self):
        return self.resource.vhost or self.resource.name

    def action_delete(self):
        there = self.resource.name in contents(self)["users"]
        self.converge({"user": there}, {"user": False}, lambda _changes: self.delete())

    def write(self):
        name, vhost = self.resource.name, self.vhost
        stored = Secret(make_hash(self.resource.password))
        user = {"name": name, "password_hash": stored, "hashing_algorithm": ALGORITHM, "tags": []}
        permission = {"user": name, "vhost": vhost, **EVERYTHING}
        wanted = {"vhosts": [{"name": vhost}], "users": [user], "permissions": [permission]}
        with definitions(wanted) as path:
            rabbitmqctl("import_definitions", path, what=f"user {name}")

    def delete(self):
        rabbitmqctl("delete_user", self.resource.name, what=f"user {self.resource.name}")

    def describe(self, key, _old, new):
        if not new:
            return "deleted"
        return {"user": "create", "password": "set the password"}.get(key, f"add the {key}")


def contents(provider):
    """{"users": {name: hash}, "vhosts": {name}, "permissions": {(user, vhost)}} as this run found them."""
    run = provider.env.config.rabbitmq
    if "_contents" not in run:
        coming = provider.env.dry_run and not shutil.which("rabbitmqctl")
        told = "{}" if coming else rabbitmqctl("export_definitions", "-", what="what RabbitMQ holds")
        run["_contents"] = parsed(told)
    return run["_contents"]


def parsed(text):
    """What `rabbitmqctl export_definitions` printed, as sets to look things up in."""
    found = json.loads(text[text.index("{") : text.rindex("}") + 1])
    permissions = found.get("permissions", [])
    return {
        "users": {user["name"]: user.get("password_hash") or "" for user in found.get("users", [])},
        "vhosts": {vhost["name"] for vhost in found.get("vhosts", [])},
        "permissions": {(one["user"], one["vhost"]) for one in permissions if EVERYTHING.items() <= one.items()},
    }


@contextmanager
def definitions(wanted):
    """The path of a file with them, for as long as it is needed: rabbitmqctl waits for ever for what stdin brings."""
    path = f"{HOME}/.deploymachine-{os.getpid()}.json"
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        shutil.chown(path, "rabbitmq", "rabbitmq")
        json.dump(wanted, file)
    try:
        yield path
    finally:
        os.unlink(path)


def rabbitmqctl(*words, what):
    done = process.run(["rabbitmqctl", "--quiet", *words], cwd="/", timeout=PATIENCE)
    if done.code != 0:
        raise Fail(f"{what}: RabbitMQ refuses", command="rabbitmqctl", exit_code=done.code, output=done.lines)
    return done.output


def make_hash(password, salt=None):
    """As RabbitMQ stores a password: base64 of a salt and the SHA-256 of salt and password."""
    salt = os.urandom(SALT) if salt is None else salt
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def verifies(password, stored):
    """Whether that is the hash of the password."""
    if not stored:
        return False
    return hmac.compare_digest(make_hash(password, base64.b64decode(stored)[:SALT]), stored)
