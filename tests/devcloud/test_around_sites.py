"""Tasks around the application, on a server with everything and one for tasks: what a user sees of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from fleet import Fleet, own_deployment
from forge import forge
from load import load
from machine_world import until
from releasing import change, said, signing
from tasks_world import as_site
from terminal_world import at_terminal

pytestmark = pytest.mark.devcloud
ONE, TASKS = "dbappbalancer1", "tasknode1"
SERVERS = f"""
OPENSTACK_SERVERS = {{
    "dbappbalancer": [("{ONE}", "m1.small")],
    "tasknode": [("{TASKS}", "m1.small")],
}}
"""
LINES = ("openstack_bootem", "root provision", "dbappbalancer launch", "tasknode launch")
BOTH = ("dbappbalancer", "tasknode")
NASTY = 'it\'s "two" words; $(touch /tmp/never) `id` && *\nand a line'
WORKER = "celery-guestbook-celery"


@pytest.fixture(scope="module")
def made(devcloud) -> Iterator[Fleet]:
    home = devcloud.state.parent / "around-sites"
    with own_deployment(devcloud.directory / "clouds.yaml", home, ONE, SERVERS, LINES) as fleet:
        yield fleet


def states(fleet: Fleet, *words: str) -> dict[tuple[str, str], str]:
    """(server, program) -> state, as supervisor.status tells it."""
    told = json.loads(fleet.fab(*words, "supervisor.status", "--json"))
    return {(row["server"], row["program"]): row["state"] for row in told}


def processes(fleet: Fleet, server: str, pattern: str) -> set[str]:
    return set(fleet.sudo(server, f"pgrep -f '{pattern}'").split())


def test_a_command_runs_on_every_server_as_the_site_does(made: Fleet) -> None:
    said = made.fab(*BOTH, "django.manage", "check").splitlines()
    assert sorted(said) == [f"{name}: System check identified no issues (0 silenced)." for name in (ONE, TASKS)]
    who = (
        "import os; print(os.popen('id -un').read().strip(), os.getcwd().startswith('/srv/sites/guestbook/releases/'))"
    )
    assert made.fab("tasknode", "django.shell", "--command", who).splitlines()[-1] == f"{TASKS}: site-guestbook True"


def test_nothing_that_is_typed_becomes_a_command(made: Fleet) -> None:
    made.fab("tasknode", "django.shell", "--command", f"import sys; sys.stdout.write({NASTY!r})")
    said = made.refused("dbappbalancer", "django.manage", "greet '; touch /tmp/never' $(touch${IFS}/tmp/never)")
    assert "exit code 1" in said
    for name in ("x; touch /tmp/never", "$(touch /tmp/never)", "guest\nbook"):
        assert "There is no site" in made.refused("tasknode", "django.check", "--site", name)
    for server in (ONE, TASKS):
        assert made.ssh(server, "test", "-e", "/tmp/never").code == 1  # noqa: S108 (it must not be there)


def test_shells_talk_to_a_terminal(made: Fleet) -> None:
    code, shown = at_terminal(
        made, ["dbappbalancer", "django.shell"], (">>> ", "print(6 * 7)\n"), ("42", "import sys; sys.exit(0)\n")
    )
    assert code == 0, shown
    assert made.secret("deploy-password") not in shown
    assert "deploymachine:" not in shown
    code, shown = at_terminal(made, ["dbappbalancer", "django.dbshell"], ("=> ", "select 40 + 2;\n"), ("42", "\\q\n"))
    assert code == 0, shown
    code, shown = at_terminal(made, ["tasknode", "django.shell"], (">>> ", "import sys; sys.exit(3)\n"))
    assert (code, "exit code 3" in shown) == (1, True), shown


def test_data_comes_here_and_goes_back(made: Fleet) -> None:
    assert made.sign("Ada", "a line; and $(more)").status == 302
    made.fab("tasknode", "django.dumpdata", "--models", "entries", "--to", "book.json")
    kept = json.loads((made.directory / "book.json").read_text())
    assert "a line; and $(more)" in {row["fields"]["message"] for row in kept}
    made.fab("tasknode", "django.shell", "--command", "from entries.models import *; Entry.objects.all().delete()")
    assert "$(more)" not in made.get().text
    assert f"Installed {len(kept)} object" in made.fab(*BOTH, "django.loaddata", "book.json")
    assert "$(more)" in made.get().text


def test_a_restart_is_noticed_by_nobody(made: Fleet) -> None:
    pattern = "^/srv/sites/guestbook/.*gunicorn"
    before = processes(made, ONE, pattern)
    with load(made.server(ONE).address, made.directory / ".deploymachine/certificates/guestbook.pem") as visitors:
        visitors.goes_on(50)
        made.fab("dbappbalancer", "supervisor.restart")
        visitors.goes_on(50)
    assert visitors.failures == []
    master = made.sudo(ONE, "supervisorctl pid site-guestbook").split()
    assert processes(made, ONE, pattern) & before == set(master)  # the same master, all workers new


def test_a_days_work_is_one_line(made: Fleet) -> None:
    page = made.site / "entries" / "templates" / "entries" / "book.html"
    page.write_text(page.read_text().replace("Guestbook", "Guestbook of the day"))
    made.commit("Another title")
    made.fab(*BOTH, "git.pull", "django.migrate", "supervisor.restart", "dbappbalancer", "nginx.reload")
    assert "Guestbook of the day" in made.get().text
    assert "supervisor.restart" not in made.fab(*BOTH, "git.status")


def test_code_that_does_not_start_is_told_with_its_last_words(made: Fleet) -> None:
    path = "/srv/sites/guestbook/current/guestbook/wsgi.py"
    made.sudo(ONE, f"cp -a {path} {path}.kept && echo 'raise RuntimeError(\"broken on purpose\")' >> {path}")
    ended = made.try_command("fab", "dbappbalancer", "supervisor.restart")
    made.sudo(ONE, f"mv {path}.kept {path}")
    assert (ended.code, "broken on purpose" in ended.output) == (1, True), ended.output
    made.fab("dbappbalancer", "supervisor.restart", "--hard")
    assert until(lambda: made.get().status == 200)


def test_what_is_stopped_is_told_and_started(made: Fleet) -> None:
    assert set(states(made, *BOTH).values()) == {"RUNNING"}
    made.fab("dbappbalancer", "supervisor.stop", "--site", "guestbook")
    assert states(made, "dbappbalancer") == {(ONE, "site-guestbook"): "STOPPED"}
    assert made.get().status == 502
    made.fab("dbappbalancer", "supervisor.restart", "--hard", "--program", "site-guestbook")
    assert until(lambda: made.get().status == 200)
    assert ONE in made.fab("dbappbalancer", "supervisor.tail", "--lines", "3")


def test_workers_and_queues_are_told_and_emptied(made: Fleet) -> None:
    told = json.loads(made.fab("dbappbalancer", "celery.status", "--json"))
    assert list(told["stats"]) == [f"guestbook.celery@{TASKS}"]
    before = processes(made, TASKS, "celery.*worker")
    made.fab("tasknode", "celery.restart")
    assert processes(made, TASKS, "celery.*worker") & before == set()
    made.fab("tasknode", "supervisor.stop", "--program", WORKER)
    hand_in = "from entries.tasks import count_words; [count_words.delay(10**6) for _ in range(3)]"
    made.fab("dbappbalancer", "django.shell", "--command", hand_in)
    shown = made.fab("tasknode", "celery.status")
    assert "DOES NOT ANSWER" in shown
    assert re.search(r"^celery +3\b", shown, re.MULTILINE), shown
    assert "needs a confirmation" in made.refused("tasknode", "celery.purge")
    assert "3 messages" in made.fab("tasknode", "celery.purge", "--yes")
    made.fab("tasknode", "supervisor.start")
    assert states(made, "tasknode")[(TASKS, WORKER)] == "RUNNING"
    assert json.loads(made.fab("tasknode", "celery.status", "--json"))["waiting"] == {"celery": 0}


def test_a_cache_is_looked_at_and_emptied(made: Fleet) -> None:
    made.get()
    assert re.search(rf"{ONE} +master", made.fab("dbappbalancer", "redis.info"))
    assert "used_memory:" in made.fab("dbappbalancer", "redis.info", "--section", "memory")
    as_site(made, TASKS, f"from django.core.cache import cache; cache.set('marked', {NASTY!r})")
    assert "marked" in made.fab("dbappbalancer", "redis.keys", "--match", "*marked*")
    assert made.fab("dbappbalancer", "redis.keys", "--match", "no'such*; $(id)") == ""
    assert "needs a confirmation" in made.refused("dbappbalancer", "redis.flush")
    made.fab("dbappbalancer", "redis.flush", "--yes")
    assert "marked" not in made.fab("dbappbalancer", "redis.keys")


def test_logs_are_cut_to_what_is_asked(made: Fleet) -> None:
    made.get("/?looked-for=here")
    assert until(lambda: "looked-for=here" in made.fab("logs.grep", "looked-for=here", "--since", "5m"))
    assert len(made.fab("everything", "logs.tail", "--lines", "4").splitlines()) == 4
    assert "looked-for=here" in made.fab("logs.site", "--since", "5m", "--grep", "looked-for")
    assert "no time" in made.refused("logs.tail", "--since", "soon")


def test_maintenance_says_why_and_ends(made: Fleet) -> None:
    made.fab("dbappbalancer", "maintenance.on", "--message", "Back at <noon>; $(id)", "--retry-after", "77")
    answer = made.get()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "77")
    assert "Back at &lt;noon&gt;; $(id)" in answer.text
    assert made.get("/healthz").status == 200
    assert re.search(r"guestbook +maintenance", made.fab("dbappbalancer", "maintenance.status"))
    made.fab("dbappbalancer", "maintenance.off")
    assert made.get().status == 200


def test_settings_are_made_for_a_project(made: Fleet) -> None:
    made.fab("django.generate_settings", "--base", "guestbook.settings", "--to", "guestbook/guestbook/server.py")
    text = (made.site / "guestbook" / "server.py").read_text()
    path = "/srv/sites/guestbook/current/guestbook/server.py"
    made.sudo(TASKS, f"cat > {path} && chmod 644 {path}", text)
    check = "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'guestbook.server'\nimport django; django.setup()\n"
    ask = "from entries.models import Entry; from django.core.cache import cache; cache.set('a', 1)\n"
    tell = "from django.conf import settings; print(Entry.objects.count() >= 0, cache.get('a'), settings.DEBUG)"
    assert as_site(made, TASKS, check + ask + tell) == "True 1 False"


def test_a_brokers_password_changes_and_no_task_is_lost(made: Fleet) -> None:
    name, former = "broker-guestbook", made.secret("broker-guestbook")
    with signing(made) as signatures:
        assert until(lambda: len(signatures) > 3)
        assert "is another now" in made.fab("secrets.rotate", name, "--yes")
        signed = len(signatures)
        assert until(lambda: len(signatures) > signed + 3)
    assert set(signatures.values()) == {302}
    assert made.secret(name) != former
    left = "import django; django.setup(); from entries.models import Entry\n"
    left += "print(Entry.objects.filter(message__startswith='signature ', words=None).count())"
    assert until(lambda: as_site(made, ONE, left) == "0"), as_site(made, ONE, left)
    tries = f"""
import amqp, os
host = os.environ["BROKER_URL"].split("@")[1].split("/")[0]
for user, password in (("guestbook", {former!r}), ("guestbook-b", {made.secret(name)!r})):
    try:
        amqp.Connection(host, user, password, virtual_host="guestbook", ssl=True).connect()
        print(user, "gets in")
    except amqp.exceptions.AMQPError:
        print(user, "is refused")
"""
    assert as_site(made, TASKS, tries).splitlines() == ["guestbook is refused", "guestbook-b gets in"]
    assert " 0 changes" in made.fab("everything", "kokki").splitlines()[-1]


def test_servers_fetch_with_a_key_that_is_lent_to_them(made: Fleet, tmp_path: Path) -> None:
    """From whoever keeps the repository, and lets that one key read; the key is left nowhere."""
    public = made.fab("git.deploy_key", "--site", "guestbook").strip()
    address = str(next(ip_network(made.server(ONE).address + "/24", strict=False).hosts()))
    with forge(address, tmp_path) as (port, host_key, let_in):
        known = made.home / ".ssh/known_hosts"
        known.write_text(f"{known.read_text()}[{address}]:{port} {host_key}\n")
        made.add_settings(
            f"SITES['guestbook'].update(repository='ssh://git@{address}:{port}{made.site}', fetch='deploy-key')\n"
        )
        change(made, "by a key")
        told = made.refused(*BOTH, "deploy")
        assert "can't be read" in told
        assert public in told
        let_in(public)
        made.fab(*BOTH, "deploy")
    assert said(made) == {"by a key"}
    private = made.secret("deploy-key-guestbook").splitlines()[3] + "\n"
    places = "--exclude-dir=venvs /etc /home /root /srv /tmp /var/lib/deploymachine /var/log /var/tmp /run /dev/shm"
    for server in (ONE, TASKS):
        assert made.sudo(server, f"grep -rlF -f - {places} 2>/dev/null || true", private) == ""
        assert made.sudo(server, "pgrep -a ssh-agent || true") == ""
    made.add_settings("SITES['guestbook'].update(repository='guestbook', fetch='auto')\n")


def test_what_one_server_has_built_the_other_is_brought(made: Fleet) -> None:
    with (made.site / "requirements.txt").open("a") as requirements:
        requirements.write("docopt==0.6.2\n")  # has no wheel but those that are built of it
    change(made, "built once")
    made.fab("dbappbalancer", "deploy")
    [wheel] = (made.directory / ".deploymachine/wheels/guestbook").glob("docopt-*.whl")
    made.fab("tasknode", "deploy")
    assert as_site(made, TASKS, "import docopt; print(docopt.__version__)") == "0.6.2"
    built = {name: made.sudo(name, "cd /srv/sites/guestbook/.cache; find uv -name '*.whl'") for name in (ONE, TASKS)}
    assert (wheel.name in built[ONE], wheel.name in built[TASKS]) == (True, False), built
    assert wheel.name in made.sudo(TASKS, "ls /srv/sites/guestbook/.cache/wheels")


def test_the_password_is_nowhere_to_be_read(made: Fleet) -> None:
    for name in ("deploy-password", "cache"):
        for server in (ONE, TASKS):
            found = made.sudo(server, "ps axwww; journalctl --no-pager; find /var/log -type f -exec cat {} +")
            assert made.secret(name) not in found, (name, server)
