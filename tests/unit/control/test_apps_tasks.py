"""Tasks around the application: what reaches the server, letter by letter, and what its answer is made of."""

from __future__ import annotations

import ast
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import sites_world
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task
from sites_world import SiteWorld
from ssh_server import SshServer

from deploymachine.contrib import celery, django, logs, maintenance, redis, supervisor
from deploymachine.errors import UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.servertypes import Deployment
from deploymachine.settings import Settings, Site
from deploymachine.settings_module import settings_module
from deploymachine.settings_tasks import Celery

# In the place of what a site runs: tells its words, and what it read.
TELL = f"""#!{sys.executable}
import json, os, sys
secrets = {{name: value for name, value in os.environ.items() if "SUPERUSER" in name}}
print(json.dumps([sys.argv[1:], sys.stdin.read(), secrets]))
"""
SUPERVISORCTL = """#!/bin/sh
echo "$@" >> {home}/told
case "$1 $2" in
  "status ") printf '%s\\n' "site-blog    RUNNING   pid 12, uptime 0:01:02" "celery-shop-mail  FATAL  Exited"; exit 3;;
  status*) echo "$2   {state}   pid 12, uptime 0:00:01";;
  pid*) echo 999999;;
esac
"""
NASTY = 'it\'s "two" words; $(touch /tmp/never) `id`\n&& *'


@pytest.fixture
def world(tmp_path: Path, ssh_server: SshServer, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> SiteWorld:
    made = sites_world.make(tmp_path, ssh_server, settings, monkeypatch)
    for module in ("redis", "supervisor"):
        monkeypatch.setattr(f"deploymachine.contrib.{module}.deployment", lambda: made.deployment)
    monkeypatch.setattr("deploymachine.contrib.django.settings", lambda: settings)
    made.program("python", TELL)
    return made


def tasks() -> list[Any]:
    modules = (celery, django, logs, maintenance, redis, supervisor)
    return [one for module in modules for one in vars(module).values() if isinstance(one, Task)]


@pytest.mark.parametrize("one", tasks(), ids=lambda one: f"{one.body.__module__.rpartition('.')[2]}.{one.name}")
def test_help_says_what_with_an_example(one: Any) -> None:
    assert "`fab " in one.__doc__.partition("\n")[0]
    assert {argument.name for argument in one.get_arguments() if not argument.help} == set()


def words(said: dict[str, str]) -> Any:
    return json.loads(said["appnode1"])[0]


def told(captured: str) -> Any:
    """What TELL printed, of a task that shows it."""
    return json.loads(captured.removeprefix("appnode1: "))


def test_words_of_a_command_arrive_as_they_are(world: SiteWorld) -> None:
    assert words(django.run_manage(["greet", NASTY, ""])) == ["manage.py", "greet", NASTY, ""]
    assert not Path("/tmp/never").exists()  # noqa: S108 (it must not be there)


def test_a_command_line_is_taken_apart_as_a_shell_would(world: SiteWorld, capsys: pytest.CaptureFixture[str]) -> None:
    django.manage(Context(), "greet 'two words' $(id) ;")
    assert told(capsys.readouterr().out)[0] == ["manage.py", "greet", "two words", "$(id)", ";"]


@pytest.mark.parametrize(("command", "message"), [("greet 'x", "be read"), ("  ", "Which command")])
def test_a_command_that_is_none_is_told(world: SiteWorld, command: str, message: str) -> None:
    with pytest.raises(Exit, match=message):
        django.manage(Context(), command)


@pytest.mark.parametrize("name", ["shell", "dbshell", "createsuperuser"])
def test_what_asks_needs_a_terminal(world: SiteWorld, name: str) -> None:
    with pytest.raises(Exit, match="terminal"):
        getattr(django, name)(Context())


def test_data_comes_here_and_goes_back(world: SiteWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "users and 'more'.json"
    django.dumpdata(Context(), models="auth.User,blog", exclude="blog.Draft", to=str(path))
    expected = ["manage.py", "dumpdata", "--format=json", "--natural-foreign", "--exclude=blog.Draft"]
    assert json.loads(path.read_text())[0] == [*expected, "--", "auth.User", "blog"]
    assert path.stat().st_mode & 0o777 == 0o600
    capsys.readouterr()
    django.loaddata(Context(), str(path))
    argv, given, _ = told(capsys.readouterr().out)
    assert (argv, given) == (["manage.py", "loaddata", "--format=json", "-"], path.read_text())


def test_a_file_that_is_there_is_not_written_over(world: SiteWorld, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("mine")
    with pytest.raises(Exit, match="is there already"):
        django.dumpdata(Context(), to=str(tmp_path / "x.json"))
    with pytest.raises(UsageError, match="nobody knows this format"):
        django.dump(tmp_path / "x.doc")
    with pytest.raises(UsageError, match="can't be read"):
        django.load(tmp_path / "gone.json")


def test_a_superusers_password_is_in_no_argument(
    world: SiteWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", NASTY.replace("\n", " "))
    django.createsuperuser(Context(), username="ada o'x", email="ada@example.com")
    argv, _, environment = told(capsys.readouterr().out)
    assert argv == ["manage.py", "createsuperuser", "--noinput"]
    assert environment["DJANGO_SUPERUSER_PASSWORD"] == NASTY.replace("\n", " ")
    assert environment["DJANGO_SUPERUSER_USERNAME"] == "ada o'x"
    assert "touch" not in " ".join(world.ssh_server.commands)


def test_a_migration_is_taken_back_only_after_a_question(world: SiteWorld, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit, match="needs a confirmation"):
        django.migrate(Context(), app="blog", to="zero")
    django.migrate(Context(), app="blog", to="zero", yes=True)
    assert told(capsys.readouterr().out)[0] == ["manage.py", "migrate", "--noinput", "--", "blog", "zero"]


def deployed(text: str, base: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the settings come to, on a project that lies in tmp_path."""
    package, module = types.ModuleType("made"), types.ModuleType("made.settings")
    module.__file__ = str(tmp_path / "made" / "settings.py")
    vars(module).update(base)
    vars(package)["settings"] = module
    monkeypatch.setitem(sys.modules, "made", package)
    monkeypatch.setitem(sys.modules, "made.settings", module)
    names: dict[str, Any] = {"__name__": "made.server"}
    exec(compile(text, "server.py", "exec"), names)  # noqa: S102 (it was made by what is tested)
    return names


def test_settings_take_everything_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = settings_module("made.settings")
    monkeypatch.setenv("SECRET_KEY", "k")
    monkeypatch.setenv("ALLOWED_HOSTS", "a.example,b.example")
    monkeypatch.setenv("DATABASE_URL", "postgres://blog:p%40ss%2Fword@10.0.0.1:6432/blog?sslmode=require")
    names = deployed(text, {"DEBUG": True, "MIDDLEWARE": ["first"], "MINE": 1}, monkeypatch, tmp_path)
    database = names["DATABASES"]["default"]
    assert (database["PASSWORD"], database["PORT"], database["NAME"]) == ("p@ss/word", 6432, "blog")
    assert database["OPTIONS"]["sslmode"] == "require"
    assert (names["DEBUG"], names["MINE"], names["ALLOWED_HOSTS"]) == (False, 1, ["a.example", "b.example"])
    assert names["STATIC_ROOT"] == tmp_path / "staticfiles"
    assert "CACHES" not in names


@pytest.mark.parametrize("base", ["", "a b", "x;import os", "a..b", "class.x", "a\nb"])
def test_settings_of_what_is_no_module_are_not_made(base: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a module"):
        settings_module(base)


def test_settings_become_a_file_that_python_can_read(world: SiteWorld, tmp_path: Path) -> None:
    django.generate_settings(Context(), to=str(tmp_path / "server.py"))
    text = (tmp_path / "server.py").read_text()
    ast.parse(text)
    assert "from blog.settings import *" in text
    with pytest.raises(Exit, match="needs a confirmation"):
        django.generate_settings(Context(), to=str(tmp_path / "server.py"))


def test_programs_are_shown_and_one_that_died_is_no_failure(
    world: SiteWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    world.program("supervisorctl", SUPERVISORCTL.format(home=world.home, state="RUNNING"))
    assert supervisor.states() == [
        ("appnode1", "site-blog", "RUNNING", "0:01:02"),
        ("appnode1", "celery-shop-mail", "FATAL", "Exited"),
    ]
    assert supervisor.states("blog") == [("appnode1", "site-blog", "RUNNING", "0:01:02")]
    supervisor.status(Context(), json=True)
    assert json.loads(capsys.readouterr().out)[1]["state"] == "FATAL"


@pytest.mark.parametrize(
    ("state", "hard", "orders"),
    [
        ("STOPPED", False, ["status site-blog", "start site-blog"]),
        ("RUNNING", True, ["stop site-blog", "start site-blog"]),
    ],
)
def test_a_site_is_restarted(
    world: SiteWorld, monkeypatch: pytest.MonkeyPatch, state: str, hard: bool, orders: list[str]
) -> None:
    monkeypatch.setattr(supervisor, "_wait", lambda *_: None)  # nothing of the site runs here
    world.program("supervisorctl", SUPERVISORCTL.format(home=world.home, state=state))
    (world.home / "sites" / "blog" / ".switching").write_text("a release that git.pull brought\n")
    supervisor.again("blog", hard=hard)
    assert (world.home / "told").read_text().splitlines() == orders
    assert world.users == ["root"]
    assert not (world.home / "sites" / "blog" / ".switching").exists()


@pytest.mark.parametrize(
    ("word", "state", "orders"),
    [
        ("start", "STOPPED", ["status", "start", "status"]),
        ("start", "RUNNING", ["status", "status"]),
        ("stop", "RUNNING", ["status", "stop", "status"]),
        ("stop", "STOPPED", ["status", "status"]),
    ],
)
def test_what_is_so_already_is_left_alone(world: SiteWorld, word: str, state: str, orders: list[str]) -> None:
    world.program("supervisorctl", SUPERVISORCTL.format(home=world.home, state=state))
    getattr(supervisor, word)(Context())
    assert [line.split()[0] for line in (world.home / "told").read_text().splitlines()] == orders


def test_a_program_that_is_not_there_is_told(world: SiteWorld) -> None:
    with pytest.raises(UsageError, match="no program 'x; reboot' on appnode1") as raised:
        supervisor.again("blog", "x; reboot")
    assert raised.value.why == "it has site-blog"
    assert world.ssh_server.commands == []


def test_a_cache_needs_a_cachenode(world: SiteWorld) -> None:
    with pytest.raises(Exit, match="There is no Redis on appnode1"):
        redis.info(Context())


def test_a_site_without_celery_has_no_queues(world: SiteWorld) -> None:
    with pytest.raises(Exit, match="blog has no Celery"):
        celery.purge(Context(), yes=True)


@pytest.fixture
def queues(world: SiteWorld, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> SiteWorld:
    """The site has Celery, with two queues on a server of their own."""
    blog = settings.SITES["blog"].model_copy(update={"celery": Celery(app="blog", queues={"mail": 1, "slow": 2})})
    here = Deployment(
        settings.model_copy(update={"SITES": {"blog": blog}}),
        Inventory([*world.deployment.inventory, Server("tasknode1", "tasknode", "10.0.0.41")]),
        world.deployment.secrets,
    )
    monkeypatch.setattr("deploymachine.contrib._site.deployment", lambda: here)
    return world


def test_workers_are_asked_by_name_and_a_silent_one_is_told(
    queues: SiteWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    queues.program(
        "python",
        f"#!{sys.executable}\nimport json, sys\nprint('noise')\n"
        "names, queues = json.loads(sys.argv[4]), json.loads(sys.argv[5])\n"
        "stats = {names[0]: {'total': {'t': 3}, 'pool': {'max-concurrency': 1}}}\n"
        "waiting = dict.fromkeys(queues, 7)\n"
        "print(json.dumps({'stats': stats, 'active': {}, 'reserved': {}, 'waiting': waiting}))\n",
    )
    celery.status(Context())
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["blog.mail@tasknode1", "1", "0", "0", "3"] in lines
    assert ["blog.slow@tasknode1", "DOES", "NOT", "ANSWER"] in lines
    assert ["mail", "7"] in lines


def test_a_broker_that_is_away_is_told(queues: SiteWorld) -> None:
    queues.program("python", f'#!/bin/sh\nshift; exec {sys.executable} -c "$@"\n')  # there is no Celery here
    with pytest.raises(Exit, match="The workers of blog can't be asked") as raised:
        celery.purge(Context(), yes=True)
    assert "ModuleNotFoundError: No module named 'celery'" in str(raised.value)
    assert "Traceback" not in str(raised.value)


def test_every_site_has_a_number_of_its_own(world: SiteWorld, settings: Settings) -> None:
    sites = {**settings.SITES, "shop": settings.SITES["blog"]}
    assert isinstance(sites["shop"], Site)
    both = settings.model_copy(update={"SITES": sites})
    from dataclasses import replace

    here = replace(world.deployment, settings=both)
    assert [redis.database(name, here) for name in ("blog", "shop")] == [0, 1]
    with pytest.raises(UsageError, match="Which site"):
        redis.database("", here)
