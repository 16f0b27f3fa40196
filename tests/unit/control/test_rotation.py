"""Rotations, stopped at every point and begun again: no server ever shows what another does not take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from deploymachine import rotation, rotation_plans
from deploymachine.converge import Result
from deploymachine.errors import ConvergeError, UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.report import report
from deploymachine.servertypes import Deployment, attributes
from deploymachine.settings_tasks import Celery

DB, CACHE, TASKS = "dbserver1", "cache1", "task1"
SERVERS = (
    Server("appnode1", "appnode", "10.0.0.21"),
    Server("appnode2", "appnode", "10.0.0.22"),
    Server(DB, "dbserver", "10.0.0.31", memory_mb=2048),
    Server(CACHE, "cachenode", "10.0.0.41", memory_mb=2048),
    Server(TASKS, "tasknode", "10.0.0.51", memory_mb=2048),
)
WHOLE = ("postgresql", "pgbouncer", "django", "celery", "redis", "rabbitmq")


class World:
    """What each server was told when it was last cooked. fails: at which contact with servers the run is cut."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.contacts, self.fails = 0, 0
        self.told: dict[str, dict[str, Any]] = {server.name: {} for server in SERVERS}
        for server in SERVERS:
            self.tell(server, WHOLE)

    def tell(self, server: Server, recipes: Sequence[str]) -> None:
        wanted = attributes(server, self.deployment)
        for name, value in wanted.items():
            if name.partition(".")[0] in (recipes or WHOLE):
                self.told[server.name][name] = value

    def contact(self) -> None:
        self.contacts += 1
        if self.contacts == self.fails:
            raise ConvergeError("cut")

    def cook(self, servers: Sequence[Server], *_: object, recipes: Sequence[str] = (), **__: object) -> list[Result]:
        for server in servers:
            self.contact()
            self.tell(server, recipes)
            self.check()
        return []

    def ask(self, servers: Sequence[Server], _phase: str, request: Mapping[str, Any]) -> list[Result]:
        self.contact()
        if request["action"] == "holders":
            assert all(str(value) not in str(self.shown()) for value in request["values"])
        for login in request.get("logins", ()):
            for server in servers:
                self.check_database(self.told[server.name], login["user"], login["password"])
        return [Result("ok", result={"holders": []}) for _ in servers]

    def shown(self) -> dict[str, dict[str, str]]:
        """Server -> the environment of its site."""
        return {
            name: site["environment"]
            for name, told in self.told.items()
            for site in (*told.get("django.sites", ()), *told.get("celery.sites", ()))
        }

    def check(self) -> None:
        for name, environment in self.shown().items():
            user, password = login(environment["DATABASE_URL"])
            self.check_database(self.told[name], user, password)
            user, password = login(environment["CACHE_URL"])
            cache = self.told[CACHE]
            assert password in [cache["redis.users"][user], *cache["redis.more_passwords"].get(user, [])]
            user, password = login(environment["BROKER_URL"])
            broker = self.told[TASKS]
            assert broker["rabbitmq.users"][user] == password
            assert broker["rabbitmq.vhosts"][user] == "blog"

    def check_database(self, node: Mapping[str, Any], user: str, password: str) -> None:
        database = self.told[DB]
        assert node["pgbouncer.passwords"][user] == password
        assert database["postgresql.roles"][user] == password
        assert user in {client["user"] for client in database["postgresql.clients"]}
        assert user == "blog" or database["postgresql.acting"][user] == "blog"


def login(url: str) -> tuple[str, str]:
    parts = urlsplit(str.__str__(url))
    return parts.username or "", unquote(parts.password or "")


@pytest.fixture
def world(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> World:
    sites = {"blog": deployment.settings.SITES["blog"].model_copy(update={"celery": Celery(app="blog")})}
    settings = deployment.settings.model_copy(update={"SITES": sites})
    made = World(replace(deployment, settings=settings, inventory=Inventory(SERVERS)))
    monkeypatch.setattr(rotation, "cook", made.cook)
    monkeypatch.setattr(rotation.Rotation, "ask", lambda self, *asked: made.ask(*asked))
    return made


def rotate(world: World, name: str, value: str | None = None, *, force: bool = False) -> None:
    uses = rotation_plans.plan(name, world.deployment)
    with report() as shown:
        rotation.rotate(name, value, uses, world.deployment, shown, force=force)


def stopped_at_every_point(world: World, name: str) -> Iterator[None]:
    """The rotation, cut at its first contact with a server, then at its second, and so on; each time a new one."""
    for point in range(1, 100):
        world.contacts, world.fails = 0, point
        try:
            rotate(world, name)
        except ConvergeError:
            yield
        else:
            return
    pytest.fail("it never came to its end")


@pytest.mark.parametrize("name", ["database-blog", "cache", "broker-blog"])
def test_stopped_anywhere_nobody_is_shut_out_and_the_same_command_goes_on(world: World, name: str) -> None:
    for _ in stopped_at_every_point(world, name):
        before = world.deployment.secrets.password(name)
        for server in SERVERS:  # whatever else is cooked meanwhile
            world.tell(server, WHOLE)
            world.check()
        world.fails = 0
        rotate(world, name)
        after = world.deployment.secrets.password(name)
        assert world.deployment.secrets.besides(name) == []
        waited_already = before not in str(world.shown())
        assert before != after or waited_already
    world.check()


def test_a_database_has_two_logins_of_which_one_rests(world: World) -> None:
    names = []
    for _ in range(3):
        rotate(world, "database-blog")
        roles = world.told[DB]["postgresql.roles"]
        names.append([name for name, password in roles.items() if password is not None])
        assert set(roles) == {"blog", "blog-b"}
        assert {client["user"] for client in world.told[DB]["postgresql.clients"]} == set(names[-1])
        assert set(world.told["appnode1"]["pgbouncer.passwords"]) == set(names[-1])
    assert names == [["blog-b"], ["blog"], ["blog-b"]]


def test_a_value_of_ones_own_with_every_character(world: World) -> None:
    rotate(world, "database-blog", "a b'c\"d$(e);f%g@h:i/j")
    assert login(world.shown()["appnode2"]["DATABASE_URL"]) == ("blog-b", "a b'c\"d$(e);f%g@h:i/j")


@pytest.mark.parametrize("value", ["two\nlines", "a\0b", "tab\t"])
def test_a_value_that_no_file_of_passwords_can_hold(world: World, value: str) -> None:
    before = world.deployment.secrets.password("database-blog")
    with pytest.raises(UsageError, match="line breaks"):
        rotate(world, "database-blog", value)
    assert world.deployment.secrets.logins("database-blog", "blog") == {"blog": before}


def test_sites_know_the_former_secret_key_until_the_next_rotation(world: World) -> None:
    name, seen = "site-blog-secret-key", []
    for _ in range(2):
        former = world.deployment.secrets.key(name)
        rotate(world, name)
        for environment in world.shown().values():
            assert environment["SECRET_KEY"] == world.deployment.secrets.key(name) != former
            assert environment["SECRET_KEY_FALLBACKS"] == former
        seen.append(former)
    rotate(world, name, force=True)
    assert all("SECRET_KEY_FALLBACKS" not in environment for environment in world.shown().values())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("backup-cipher", "can't be rotated"),
        ("authority-key", "can't be rotated"),
        ("deploy-password-hash", "can't be rotated"),
        ("deploy-key-blog", "is not rotated here"),
        ("database-nobody", "No database of settings.py belongs to 'nobody'"),
        ("broker-shop", "There is no site 'shop'"),
        ("site-shop-secret-key", "There is no site 'shop'"),
        ("server-nowhere-tls-key", "nowhere"),
        ("mail-password", "Nothing uses a secret 'mail-password'"),
    ],
)
def test_what_can_not_be_rotated(world: World, name: str, told: str) -> None:
    with pytest.raises(UsageError) as error:
        rotate(world, name)
    assert told in str(error.value)
