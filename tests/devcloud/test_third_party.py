"""A project that others wrote, deployed as it is by settings alone; and what keeps another from being built."""

from __future__ import annotations

import http.client
import re
import shlex
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest
import third_party
from fleet import Fleet, own_deployment
from machine_world import until
from third_party import DOMAIN, NAME

pytestmark = pytest.mark.devcloud
ONE, TASKS = "dbappbalancer1", "tasknode1"
BOTH = ("dbappbalancer", "tasknode")
LINES = ("openstack_bootem", "root provision", "dbappbalancer launch", "tasknode launch")
LOGIN = {"login_email": "ada@example.org", "login_password": "a; long $(password)"}
HOOK = '#!/bin/sh\necho "$DEPLOYMACHINE_HOOK $DEPLOYMACHINE_SITE $(command -v python)" >> ../../shared/media/hooks\n'
MIGRATION = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("entries", "0002_words")]
    operations = [migrations.{operation}]
"""
LOCKED = "BEGIN; LOCK TABLE entries_entry IN ACCESS SHARE MODE; SELECT pg_sleep(600)"


@pytest.fixture(scope="module")
def made(devcloud) -> Iterator[Fleet]:
    """One server with everything and one for tasks; the guestbook, and the project beside it."""
    home = devcloud.state.parent / "third"

    def lines() -> Iterator[str]:
        third_party.vendor(home / f"guestbook-{home.name}" / NAME)
        yield from LINES

    with own_deployment(devcloud.directory / "clouds.yaml", home, ONE, third_party.SETTINGS, lines()) as fleet:
        yield fleet


class Visitor:
    """Who visits the project by its own name, and keeps its cookies."""

    def __init__(self, fleet: Fleet) -> None:
        self.address = fleet.server(ONE).address
        self.trust = ssl.create_default_context(cafile=str(fleet.directory / f".deploymachine/certificates/{NAME}.pem"))
        self.cookies: dict[str, str] = {}

    def ask(
        self, path: str, form: dict[str, str] | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, str]:
        connection = _Named(self.address, self.trust)
        cookie = (
            {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        )
        posted = {"Content-Type": "application/x-www-form-urlencoded", "Referer": f"https://{DOMAIN}{path}"}
        sent = {"Host": DOMAIN, **cookie, **(posted if form else {}), **headers}
        try:
            connection.request("POST" if form else "GET", path, urlencode(form) if form else None, sent)
            answer = connection.getresponse()
            for line in answer.headers.get_all("Set-Cookie") or ():
                name, _, value = line.partition(";")[0].partition("=")
                self.cookies[name] = value
            return answer, answer.read().decode()
        finally:
            connection.close()


class _Named(http.client.HTTPSConnection):
    """At an address, for the name."""

    def __init__(self, address: str, trust: ssl.SSLContext) -> None:
        super().__init__(address, timeout=60, context=trust)
        self.trust = trust

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self.trust.wrap_socket(self.sock, server_hostname=DOMAIN)


@pytest.fixture
def visitor(made: Fleet) -> Visitor:
    return Visitor(made)


def as_project(fleet: Fleet, server: str, code: str) -> str:
    """What Python prints where the project's own programs run."""
    words = ["runuser", "-u", f"site-{NAME}", "--", f"/srv/sites/{NAME}/shared/run", "python", "-c"]
    return fleet.sudo(server, shlex.join([*words, f"import django; django.setup()\n{code}"])).strip()


def release(fleet: Fleet, message: str, *words: str) -> str:
    fleet.commit(message)
    return fleet.fab("dbappbalancer", "deploy", "--site", "guestbook", *words)


def refused(fleet: Fleet, message: str, *words: str) -> str:
    """The error of a deploy that has to fail; what was served before is served then, and the commit is taken back."""
    live = fleet.sudo(ONE, "readlink /srv/sites/guestbook/current")
    fleet.commit(message)
    try:
        told = fleet.refused("dbappbalancer", "deploy", "--site", "guestbook", *words)
    finally:
        fleet.git("reset", "--quiet", "--hard", "HEAD~1")
    assert fleet.get().status == 200
    assert fleet.sudo(ONE, "readlink /srv/sites/guestbook/current") == live
    return told


def test_visitors_see_it_with_the_files_of_its_pipeline(visitor: Visitor) -> None:
    answer, text = visitor.ask("/orga/login/")
    assert answer.status == 200
    path = re.search(r"href=\"?(/static/common/css/base\.[0-9a-f]{12}\.css)", text)[1]
    style, _ = visitor.ask(path, **{"Accept-Encoding": "identity"})
    assert style.status == 200
    assert style.headers["Content-Type"].startswith("text/css")
    assert "immutable" in style.headers["Cache-Control"]


def test_its_translations_were_compiled(visitor: Visitor) -> None:
    assert "Einloggen" in visitor.ask("/orga/login/", **{"Accept-Language": "de"})[1]


def test_not_a_line_of_it_is_ours(made: Fleet) -> None:
    assert made.command("git", "-C", str(made.directory / NAME), "status", "--porcelain") == ""
    told = made.fab(*BOTH, "git.status", "--site", NAME)
    assert told.count(", release ") == 2
    assert "changed by hand" not in told


def test_all_its_migrations_are_applied(made: Fleet) -> None:
    told = made.fab("dbappbalancer", "django.showmigrations", "--site", NAME)
    assert told.count("[X]") >= 200
    assert "[ ]" not in told
    assert "migrate" not in made.told["tasknode launch"].output


def test_somebody_logs_in(made: Fleet, visitor: Visitor) -> None:
    who = f"password={LOGIN['login_password']!r}, email={LOGIN['login_email']!r}, name='Ada'"
    as_project(made, ONE, f"from pretalx.person.models import User\nUser.objects.create_superuser({who})")
    page = visitor.ask("/orga/login/")[1]
    token = re.search(r"name=\"?csrfmiddlewaretoken\"?[^>]*value=\"?([^\" >]+)", page)[1]
    answer, _ = visitor.ask("/orga/login/", {**LOGIN, "csrfmiddlewaretoken": token})
    assert answer.status == 302, answer.status
    assert "Ada" in visitor.ask("/orga/event/")[1]


def test_its_worker_does_its_tasks_and_cron_what_is_due(made: Fleet) -> None:
    task = "app.send_task('pretalx.cleanup_file', kwargs=dict(model='None', pk=1, field='', path=''))"
    assert as_project(made, ONE, f"from pretalx.celery_app import app\nprint({task}.get(timeout=60))") == "None"
    log = made.sudo(TASKS, f"cat /var/log/supervisor/celery-{NAME}-celery.log")
    assert re.search(r"Task pretalx\.cleanup_file\[\S+\] succeeded", log)
    made.sudo(TASKS, f"systemctl start cron-{NAME}-runperiodic.service")


def test_again_nothing_changes(made: Fleet) -> None:
    assert " 0 changes" in made.fab("dbappbalancer", "launch").splitlines()[-1]


def test_hooks_of_the_repository_run_as_the_site(made: Fleet) -> None:
    folder = made.site / "deploy" / "hooks"
    folder.mkdir(parents=True)
    for moment in ("build", "before_switch", "after_switch"):
        (folder / moment).write_text(HOOK)
        (folder / moment).chmod(0o755)
    release(made, "Hooks")
    said = [line.split() for line in made.sudo(ONE, "cat /srv/sites/guestbook/shared/media/hooks").splitlines()]
    assert [line[:2] for line in said] == [
        [moment, "guestbook"] for moment in ("build", "before_switch", "after_switch")
    ]
    assert all(line[2].endswith("/.venv/bin/python") or "/venvs/" in line[2] for line in said)
    (folder / "before_switch").write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    told = refused(made, "A hook says no")
    assert "The hook before_switch of guestbook fails" in told
    assert "not today" in told


@contextmanager
def reading(fleet: Fleet) -> Iterator[None]:
    """Somebody reads the guestbook's table and does not come to an end."""
    start = f"systemd-run --quiet --unit reader -p User=postgres psql -X -d guestbook -c {shlex.quote(LOCKED)}"
    fleet.sudo(ONE, start)
    held = "runuser -u postgres -- psql -XAtc \"SELECT count(*) FROM pg_locks WHERE mode = 'AccessShareLock'"
    held += " AND relation = (SELECT oid FROM pg_class WHERE relname = 'entries_entry')\" guestbook"
    try:
        assert until(lambda: fleet.sudo(ONE, held).strip() not in ("", "0"))
        yield
    finally:
        fleet.sudo(ONE, "systemctl stop reader")


def waiting(fleet: Fleet) -> str:
    """How many wait for a lock in the database."""
    ask = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    return fleet.sudo(ONE, f'runuser -u postgres -- psql -XAtc "{ask}"').strip()


def test_a_migration_that_waits_too_long_is_stopped_in_the_database_too(made: Fleet) -> None:
    path = made.site / "entries" / "migrations" / "0003_mood.py"
    path.write_text(MIGRATION.format(operation='AddField("entry", "mood", models.TextField(null=True))'))
    with reading(made):
        told = refused(made, "A mood", "--migrate-timeout", "8")
        assert waiting(made) == "0"
        assert made.sign("Grace", "while it is locked").status == 302
    assert "A migration of guestbook takes longer than 8 s" in told
    assert re.search(r"it was stopped after 8 s: it waits for a lock: process \d+ of postgres", told), told


def test_it_is_told_whether_the_old_code_can_live_with_a_migration(made: Fleet) -> None:
    path = made.site / "entries" / "migrations" / "0003_mood.py"
    path.write_text(MIGRATION.format(operation='AddField("entry", "mood", models.TextField(null=True))'))
    assert "migrate changed: entries.0003_mood; the old code can live with them" in release(made, "A mood")
    path = path.with_name("0004_no_mood.py")
    narrow = MIGRATION.format(operation='RemoveField("entry", "mood")').replace("0002_words", "0003_mood")
    path.write_text(narrow)
    assert "the old code can NOT live with them: entries.0004_no_mood removes entry.mood" in release(made, "None")


def test_a_disk_that_fills_while_it_is_built_leaves_the_old_release_alone(made: Fleet) -> None:
    requirements = made.site / "requirements.txt"
    built = "cd /srv/sites/guestbook && ls venvs releases"
    before = made.sudo(ONE, built)
    made.sudo(ONE, "mount -t tmpfs -o size=1m,mode=777 tmpfs /srv/sites/guestbook/.cache")
    try:
        requirements.write_text(requirements.read_text() + "reportlab==4.4.4\n")
        told = refused(made, "Too much")
    finally:
        made.sudo(ONE, "umount /srv/sites/guestbook/.cache")
    assert re.search("No space left on device|os error 28", told), told
    assert made.sudo(ONE, built) == before


def test_requirements_that_nobody_can_meet_are_told_with_uvs_words(made: Fleet) -> None:
    requirements = made.site / "requirements.txt"
    requirements.write_text(requirements.read_text() + "django==1.0\n")
    told = refused(made, "Impossible")
    assert "The requirements of guestbook (requirements.txt) can't be installed" in told
    assert "unsatisfiable" in told


def test_another_commit_is_pulled_and_runs_when_it_is_restarted(made: Fleet) -> None:
    template = next(made.site.rglob("book.html"))
    template.write_text(template.read_text().replace("</body>", "<p>pulled</p></body>"))
    made.commit("Words")
    made.fab("dbappbalancer", "git.pull", "--site", "guestbook")
    assert "pulled" not in made.get().text
    made.fab("dbappbalancer", "supervisor.restart", "--site", "guestbook")
    assert "<p>pulled</p>" in made.get().text
    assert not re.search("guestbook +[0-9TZ]+-[0-9a-f]+ +no", made.fab("dbappbalancer", "deploy.status"))
    assert made.fab("dbappbalancer", "git.log", "--site", "guestbook", "--count", "1").endswith("Ada: Words\n")


def test_a_virtualenv_is_made_anew_while_it_is_used(made: Fleet) -> None:
    before = made.sudo(ONE, "readlink -f /srv/sites/guestbook/current/.venv").strip()
    site = ("--site", "guestbook")
    made.fab("dbappbalancer", "virtualenv.rebuild", *site, "supervisor.restart", *site)
    assert made.get().status == 200
    assert made.sudo(ONE, "readlink -f /srv/sites/guestbook/current/.venv").strip() != before
    assert before.rpartition("/")[2] in made.fab("dbappbalancer", "virtualenv.prune", *site)
    assert made.get().status == 200
