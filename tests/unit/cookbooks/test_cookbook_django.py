"""A site's program: its environment survives the shell, and it waits for its first release."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
from kokki import Fail

AWKWARD = {"QUOTE": "it's", "DOLLAR": '$HOME `id` \\n "', "LINES": "a\nb", "EMPTY": "", "UMLAUT": "Grüße"}


@pytest.fixture
def site(declare, content, tmp_path):
    """site(**changes) -> the kitchen, with env, run and gunicorn.conf.py of a site written below tmp_path."""

    def written(environment=AWKWARD, **changes):
        root = tmp_path / "site"
        described = {
            "name": "guestbook",
            "user": "site-guestbook",
            "root": str(root),
            "bind": "127.0.0.1:0",
            "wsgi": "app:application",
            "settings_module": "app.settings",
            "directory": "",
            "environment": environment,
            "workers": 2,
            **changes,
        }
        kitchen = declare("django", **{"django.sites": [described]})
        (root / "shared").mkdir(parents=True, exist_ok=True)
        for name in ("env", "run", "gunicorn.conf.py"):
            (root / "shared" / name).write_text(content(kitchen, f"{root}/shared/{name}"))
        (root / "shared" / "run").chmod(0o755)
        return kitchen, root

    return written


def release(root, name):
    """A release whose virtualenv's gunicorn and python are this one's."""
    tools = root / "releases" / name / ".venv" / "bin"
    tools.mkdir(parents=True)
    (tools / "python").symlink_to(sys.executable)
    (tools / "gunicorn").write_text('#!/bin/sh\necho gunicorn "$@" in "$PWD"\n')
    (tools / "gunicorn").chmod(0o755)
    (root / "current").unlink(missing_ok=True)
    (root / "current").symlink_to(f"releases/{name}")


def test_every_value_reaches_the_program_as_it_is(site):
    _kitchen, root = site()
    release(root, "one")
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    printed = subprocess.run(
        [root / "shared" / "run", sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    environment = json.loads(printed.stdout)
    assert {name: environment[name] for name in AWKWARD} == AWKWARD
    assert environment["DJANGO_SETTINGS_MODULE"] == "app.settings"
    assert environment["VIRTUAL_ENV"] == f"{root}/current/.venv"


@pytest.mark.parametrize("environment", [{"A-B": "x"}, {"1A": "x"}, {"A B": "x"}, {"A": "nul\0"}])
def test_what_can_be_no_environment_is_refused(site, environment):
    with pytest.raises(Fail, match="environment variable"):
        site(environment)


def test_without_a_command_it_serves_the_site(site):
    _kitchen, root = site(directory="src")
    release(root, "one")
    (root / "releases" / "one" / "src").mkdir()
    printed = subprocess.run([root / "shared" / "run"], capture_output=True, text=True, check=True).stdout
    assert printed == f"gunicorn --config {root}/shared/gunicorn.conf.py app:application in {root}/current/src\n"


def test_before_the_first_release_it_ends_in_the_way_supervisor_expects(site, content):
    kitchen, root = site()
    done = subprocess.run([root / "shared" / "run"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (75, "guestbook has no release yet\n")
    program = content(kitchen, "/etc/supervisor/conf.d/site-guestbook.conf").splitlines()
    assert {"exitcodes=75", "autorestart=unexpected", "user=site-guestbook", f"command={root}/shared/run"} <= set(
        program
    )
    assert not any(value in "\n".join(program) for value in AWKWARD.values() if value)


def test_only_the_sites_user_may_read_its_environment(site):
    kitchen, root = site()
    file = kitchen.resources["File"][f"{root}/shared/env"]
    assert (file.mode, file.owner) == (0o600, "site-guestbook")


def machine(kitchen, cpus, memory):
    """What a recipe sees of a machine."""
    return SimpleNamespace(config=kitchen.config, system=SimpleNamespace(cpus=cpus, memory_mb=memory))


@pytest.mark.parametrize(
    ("cpus", "memory", "site", "workers", "share"),
    [
        (1, 512, {}, 2, 256),
        (2, 4096, {}, 5, 819),
        (2, 1024, {}, 3, 341),
        (8, 65536, {}, 17, 3855),
        (8, 65536, {"memory_mb": 600}, 4, 150),
    ],
)
def test_workers_follow_processors_and_memory_and_share_it(declare, cpus, memory, site, workers, share):
    kitchen = declare("django")
    gunicorn, env = kitchen.cookbook("gunicorn"), machine(kitchen, cpus, memory)
    assert gunicorn.workers(env, site) == workers
    assert gunicorn.share_mb(env, site, workers) == share


def test_the_flavors_memory_counts_where_it_is_known(declare):
    kitchen = declare("django", **{"gunicorn.memory_mb": 1024})
    assert kitchen.cookbook("gunicorn").workers(machine(kitchen, 2, 24000), {}) == 3


def test_memory_that_is_too_little_for_so_many_is_refused(site):
    with pytest.raises(Fail, match=r"guestbook: 100 MB of memory .* too little for 2 processes"):
        site(memory_mb=100)


def configuration(root):
    """The names that gunicorn finds in its configuration."""
    names = {}
    exec((root / "shared" / "gunicorn.conf.py").read_text(), names)  # noqa: S102 - as gunicorn does
    return names


def test_a_reload_becomes_the_new_release_with_the_same_door(site, monkeypatch):
    _kitchen, root = site(bind="10.0.0.5:8000", directory="src")
    names, became = configuration(root), []
    assert (names["bind"], names["chdir"], names["workers"]) == ("10.0.0.5:8000", f"{root}/current/src", 2)
    monkeypatch.setattr(os, "execve", lambda *arguments: became.append(arguments))
    monkeypatch.setattr(os, "dup2", lambda old, new: None)
    monkeypatch.setattr(os, "set_inheritable", lambda number, inheritable: None)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    with socket.socket() as door:
        names["on_reload"](SimpleNamespace(LISTENERS=[door], WORKERS={12: None, 13: None}))
    ((program, _arguments, environment),) = became
    assert program == f"{root}/shared/run"
    assert environment["LISTEN_FDS"] == "1"
    assert environment["LISTEN_PID"] == str(os.getpid())
    assert environment["OLD_WORKERS"] == "12 13"
    assert set(environment) == {"PATH", "LISTEN_FDS", "LISTEN_PID", "OLD_WORKERS"}


class Worker:
    """One of gunicorn's, as its configuration sees it; what happens to it and to others is in `seen`."""

    def __init__(self, age, seen, fails=False):
        self.age, self.seen, self.fails, self.log = age, seen, fails, self

    def wsgi(self, environ, start_response):
        self.seen.append([environ[name] for name in ("wsgi.url_scheme", "HTTP_HOST", "PATH_INFO", "QUERY_STRING")])
        start_response("200 OK", [])("written")
        if self.fails:
            raise RuntimeError("no database")
        return self

    def __iter__(self):
        return iter([b"a page"])

    def close(self):
        self.seen.append("closed")

    def warning(self, words, *more):
        self.seen.append(words % more)


@pytest.fixture
def sent(monkeypatch):
    """Whom gunicorn sends home, and what else its workers note here."""
    noted = []
    monkeypatch.setattr(os, "kill", lambda pid, number: noted.append((pid, number)))
    return noted


@pytest.mark.parametrize(
    ("old", "homes"), [("12 13", [[12], [13], []]), ("12 13 14", [[12, 14], [13], []]), ("12", [[12], [], []])]
)
def test_each_new_worker_sends_an_old_one_home_and_no_later_one_does(site, monkeypatch, sent, old, homes):
    _kitchen, root = site(workers=2)
    monkeypatch.setenv("OLD_WORKERS", old)
    names = configuration(root)
    for age, pids in zip((1, 2, 9), homes, strict=True):
        sent.clear()
        names["post_worker_init"](Worker(age, []))
        assert sent == [(pid, signal.SIGTERM) for pid in pids]
    assert "OLD_WORKERS" not in os.environ


def test_a_new_worker_makes_a_page_before_it_sends_anybody_home(site, monkeypatch, sent):
    _kitchen, root = site(host="guestbook.example", health_path="/healthz?all=1")
    monkeypatch.setenv("OLD_WORKERS", "12")
    configuration(root)["post_worker_init"](Worker(1, sent))
    assert sent == [["https", "guestbook.example", "/healthz", "all=1"], "closed", (12, signal.SIGTERM)]


def test_a_page_that_is_not_made_keeps_no_new_worker_away(site, monkeypatch, sent):
    _kitchen, root = site()
    monkeypatch.setenv("OLD_WORKERS", "12")
    configuration(root)["post_worker_init"](Worker(1, sent, fails=True))
    _page, warning, home = sent
    assert "no database" in warning
    assert home == (12, signal.SIGTERM)


def test_without_old_workers_nobody_asks_for_a_page(site, sent):
    _kitchen, root = site()
    configuration(root)["post_worker_init"](Worker(1, sent))
    assert sent == []


def test_a_worker_gets_no_more_memory_than_its_share_and_goes_before_it_has_it(site):
    _kitchen, root = site(memory_mb=1000, workers=2)
    program = """
import resource, runpy, sys
from types import SimpleNamespace
names = runpy.run_path(sys.argv[1])
names["post_fork"](None, None)
print(resource.getrlimit(resource.RLIMIT_DATA)[0] >> 20)
worker = SimpleNamespace(alive=True, nr=20, log=SimpleNamespace(warning=lambda *words: print(words[0] % words[1:])))
held = []
for megabytes, requests in ((0, 20), (420, 19), (0, 20)):
    held.append(b"x" * (megabytes << 20))
    worker.nr = requests
    names["post_request"](worker, None, {}, None)
    print(worker.alive)
try:
    held.append(b"x" * (200 << 20))
except MemoryError:
    print("no more")
"""
    told = subprocess.run(
        [sys.executable, "-c", program, root / "shared/gunicorn.conf.py"], capture_output=True, text=True, check=True
    )
    limit, first, second, warning, third, last = told.stdout.splitlines()
    assert (limit, first, second, third, last) == ("500", "True", "True", "False", "no more")
    assert warning.endswith("MB of 500: replaced after this request")
