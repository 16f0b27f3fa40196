"""One server with everything, and what is done with it from day to day: databases, firewall, admins, files, pages."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network

import pytest
from fleet import Fleet, own_deployment
from load import TOOLS, load, tool
from machine_world import until
from releasing import change, patient, said, signing, trust

pytestmark = pytest.mark.devcloud
ONE = "dbappbalancer1"
SETTINGS = f'OPENSTACK_SERVERS = {{"dbappbalancer": [("{ONE}", "m1.small")]}}\n'
LINES = ("openstack_bootem", "root provision", "everything launch")
PORT = 8090
NASTY = 'it\'s "late"; $(id) `id` & <b>\nAda'


@pytest.fixture(scope="module")
def made(devcloud) -> Iterator[Fleet]:
    """A deployment of its own; each test leaves it as it found it."""
    home = devcloud.state.parent / "everyday"
    with own_deployment(devcloud.directory / "clouds.yaml", home, ONE, SETTINGS, LINES) as fleet:
        yield fleet


def fab(made: Fleet, *words: str) -> str:
    return made.fab("dbappbalancer", *words)


def refused(made: Fleet, *words: str) -> str:
    return made.refused("dbappbalancer", *words)


def psql(made: Fleet, sql: str) -> str:
    """As the server's own superuser."""
    return made.sudo(ONE, f"cd /; runuser -u postgres -- psql -XqAt -d guestbook -c {shlex.quote(sql)}").strip()


def databases(made: Fleet) -> list[str]:
    return psql(made, "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1").split()


@contextmanager
def visited(made: Fleet) -> Iterator[list[int]]:
    """Somebody asks for the first page again and again; what was answered."""
    answers: list[int] = []
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            answers.append(made.get().status)

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        yield answers
    finally:
        over.set()
        visitor.join()


def test_a_copy_that_was_pulled_home_takes_the_databases_place_while_sites_are_visited(made: Fleet) -> None:
    assert made.sign("Ada", "before the copy").status == 302
    told = fab(made, "postgresql.pull", "--to", "guestbook.dump")
    assert f"of guestbook on {ONE}" in told
    copy = made.directory / "guestbook.dump"
    assert (copy.read_bytes()[:5], copy.stat().st_mode & 0o777) == (b"PGDMP", 0o600)
    assert made.sign("Ada", "after the copy").status == 302
    assert "--yes" in refused(made, "postgresql.push", "--file", "guestbook.dump")
    with visited(made) as answers:
        told = fab(made, "postgresql.push", "--file", "guestbook.dump", "--yes")
        assert until(lambda: len(answers) > 5 and set(answers[-5:]) == {200})
    assert answers.count(200) > len(answers) / 2  # who was amid a query was cut off
    assert "before the copy" in made.get().text
    assert "after the copy" not in made.get().text
    [aside] = [name for name in databases(made) if name.startswith("guestbook_before_")]
    assert aside in told
    assert made.sign("Ada", "on the copy").status == 302
    assert aside in refused(made, "postgresql.drop", "--database", aside)
    fab(made, "postgresql.drop", "--database", aside, "--yes-i-mean-it", aside)
    assert databases(made) == ["guestbook", "postgres"]
    assert " 0 changes" in made.fab("everything", "kokki").splitlines()[-1]


def test_a_copy_that_can_not_be_read_to_its_end_changes_nothing(made: Fleet) -> None:
    fab(made, "postgresql.pull", "--to", "whole.dump")
    whole = (made.directory / "whole.dump").read_bytes()
    (made.directory / "cut.dump").write_bytes(whole[: len(whole) * 2 // 3])
    (made.directory / "wrong.sql").write_text("DROP TABLE IF EXISTS entries_entry CASCADE; SELECT 1/0;")
    before = psql(made, "SELECT count(*) FROM entries_entry")
    for name, why in (("cut.dump", "end of file"), ("wrong.sql", "division by zero")):
        told = refused(made, "postgresql.push", "--file", name, "--yes")
        assert "nothing was changed" in told
        assert why in told
    assert psql(made, "SELECT count(*) FROM entries_entry") == before
    assert databases(made) == ["guestbook", "postgres"]
    assert made.sudo(ONE, "ls -A /var/lib/postgresql/dumps") == ""


def test_a_dump_on_the_server_comes_back_and_what_is_protected_does_not_go(made: Fleet) -> None:
    assert "guestbook-" in fab(made, "postgresql.dump")
    psql(made, "SET ROLE guestbook; CREATE TABLE later (n int)")
    assert "guestbook-" in fab(made, "postgresql.dumps")
    with made.edited("settings.py", "PROTECTED = []", 'PROTECTED = ["guestbook"]'):
        for words in (("load", "--yes"), ("drop", "--database", "guestbook", "--yes-i-mean-it", "guestbook")):
            assert "PROTECTED" in refused(made, f"postgresql.{words[0]}", *words[1:])
    fab(made, "postgresql.load", "--yes")
    assert psql(made, "SELECT to_regclass('later') IS NULL") == "t"
    assert "public.entries_entry" in fab(made, "postgresql.size", "--database", "guestbook")
    for name in databases(made):
        if name.startswith("guestbook_before_"):
            fab(made, "postgresql.drop", "--database", name, "--yes-i-mean-it", name)


def test_databases_are_asked_made_and_freed_of_a_query(made: Fleet) -> None:
    told = fab(made, "postgresql.psql", "--command", "SELECT current_user || ' says ' || 'it''s; $(id)'")
    assert "guestbook says it's; $(id)" in told
    wrong = made.try_command("fab", "dbappbalancer", "postgresql.psql", "--command", "SELECT 1/0")
    assert (wrong.code, "division by zero" in wrong.output) == (1, True)
    fab(made, "postgresql.create", "--database", "scratch", "--owner", "guestbook")
    assert "there already" in fab(made, "postgresql.create", "--database", "scratch", "--owner", "guestbook")
    fab(made, "postgresql.vacuum", "--database", "scratch")
    sleep = ("--database", "scratch", "--command", "SELECT pg_sleep(600)")
    with made.start("dbappbalancer", "postgresql.psql", *sleep) as busy:
        running = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
        pid = until(lambda: psql(made, running))
        assert "SELECT pg_sleep(600)" in fab(made, "postgresql.activity")
        assert "pg_sleep" in refused(made, "postgresql.kill_query", pid)
        assert "It was told to end" in fab(made, "postgresql.kill_query", pid, "--yes")
        assert "canceling statement due to user request" in busy.communicate(timeout=60)[0]
    assert busy.returncode == 1
    fab(made, "postgresql.drop", "--database", "scratch", "--yes-i-mean-it", "scratch")


def answers_at(made: Fleet, port: int) -> bool:
    try:
        with socket.create_connection((made.server(ONE).address, port), 2):
            return True
    except OSError:
        return False


def test_a_port_that_was_opened_closes_by_itself(made: Fleet) -> None:
    made.sudo(ONE, f"systemd-run -q --unit test-listener python3 -m http.server {PORT} --directory /usr/share/doc")
    try:
        assert until(lambda: "LISTEN" in made.sudo(ONE, f"ss -Hltn 'sport = :{PORT}'"))
        assert not answers_at(made, PORT)
        fab(made, "firewall.open", "--port", str(PORT), "--minutes", "1", "--allow-ip", "192.0.2.7")
        assert not answers_at(made, PORT)
        # Nothing of ours runs any more once this command is over: the server alone closes it.
        fab(made, "firewall.open", "--port", str(PORT), "--minutes", "15s", "--yes")
        assert f"{PORT}/tcp" in fab(made, "firewall.show")
        assert answers_at(made, PORT)
        assert until(lambda: not answers_at(made, PORT), 60)
        fab(made, "firewall.open", "--port", str(PORT), "--minutes", "2h", "--yes")
        assert answers_at(made, PORT)
        fab(made, "firewall.reload")
        assert answers_at(made, PORT)
        assert "1 h" in fab(made, "firewall.show")
        fab(made, "firewall.reload", "--close")
        assert not answers_at(made, PORT)
        assert f"{PORT}/tcp" not in fab(made, "firewall.show")
    finally:
        made.sudo(ONE, "systemctl stop test-listener")
    assert made.get().status == 200


def test_an_admin_comes_and_goes(made: Fleet) -> None:
    made.command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "grace@laptop", "-f", "grace")
    words = made.ssh_line(ONE, "true")
    words[words.index("-i") + 1] = str(made.directory / "grace")
    words[1:1] = ["-o", "IdentitiesOnly=yes"]
    assert made.try_command(*words).code != 0
    fab(made, "users.add", "--name", "grace", "--key", "grace.pub")
    assert made.try_command(*words).code == 0
    assert "grace@laptop" in fab(made, "users.list")
    fab(made, "users.remove", "--name", "grace", "--yes")
    assert made.try_command(*words).code != 0
    assert "grace@laptop" not in fab(made, "users.list")


def test_files_and_commands_go_through_whatever_they_are_called(made: Fleet) -> None:
    name = 'it\'s "a"; $(id) file.txt'
    (made.directory / name).write_bytes(bytes(range(256)) * 999)
    fab(made, "system.put", "--file", name, "--to", "/srv/", "--mode", "640", "--owner", "root:deploy")
    told = made.sudo(ONE, f"stat -c '%a %U:%G %s' /srv/{shlex.quote(name)}").strip()
    assert told == f"640 root:deploy {256 * 999}"
    fab(made, "system.get", "--file", f"/srv/{name}")
    assert (made.directory / f"{ONE}-{name}").read_bytes() == (made.directory / name).read_bytes()
    assert "there already" in refused(made, "system.get", "--file", f"/srv/{name}")
    assert f"{ONE}: root" in fab(made, "system.sudo", "--command", f"rm -- /srv/{shlex.quote(name)} && whoami")
    assert f"{ONE}: deploy" in fab(made, "system.run", "--command", "whoami")
    assert "exit code 3" in refused(made, "system.run", "--command", "exit 3")
    assert fab(made, "system.uptime", "system.df", "system.top", "apt.list").count(ONE) >= 4


def test_maintenance_says_why_and_lets_in_who_works_on_it(made: Fleet) -> None:
    fab(made, "nginx.maintenance", "--site", "guestbook", "--message", NASTY, "--retry-after", "600")
    try:
        answer = made.get()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "600")
        assert "it&#x27;s &quot;late&quot;; $(id) `id` &amp; &lt;b&gt;\nAda" in answer.text
        assert made.get("/healthz").status == 200
        assert made.get("/static/nothing").status == 503
        mine = ip_network(made.server(ONE).address + "/16", strict=False)
        fab(made, "nginx.maintenance", "--site", "guestbook", "--allow-ip", str(mine))
        assert made.get().status == 200
        assert " 0 changes" in made.fab("everything", "kokki").splitlines()[-1]
        assert "maintenance" in fab(made, "nginx.status")
    finally:
        fab(made, "nginx.maintenance", "--site", "guestbook", "--off")
    assert made.get().status == 200


def test_a_deploy_and_a_way_back_of_the_only_appnode_lose_no_request(made: Fleet) -> None:
    """Nobody else could serve meanwhile; and a signature is sent once only, whatever becomes of it."""
    fab(made, "deploy")
    with patient(made), ExitStack() as stack:
        visitors = stack.enter_context(load(made.server(ONE).address, trust(made), visitors=4))
        seen = [stack.enter_context(tool(name, visitors.address)) for name in TOOLS if shutil.which(name)]
        signatures = stack.enter_context(signing(made))
        for word, needs in (("one", ""), ("two", "# another virtualenv, and so another gunicorn\n")):
            with (made.site / "requirements.txt").open("a") as requirements:
                requirements.write(needs)
            change(made, word)
            fab(made, "deploy")
            visitors.goes_on(20)
            assert said(made) == {word}
        fab(made, "rollback")
        visitors.goes_on(20)
        assert said(made) == {"one"}
    assert visitors.failures == []
    assert [one["failed"] for one in seen] == [0] * len(seen)
    assert set(signatures.values()) == {302}
    kept = psql(made, "SELECT message FROM entries_entry ORDER BY id").splitlines()
    assert [message for message in kept if message in signatures] == list(signatures)


def certificate(made: Fleet) -> str:
    return ssl.get_server_certificate((made.server(ONE).address, 443), timeout=20)


def test_a_certificate_is_made_anew(made: Fleet) -> None:
    before = certificate(made)
    assert fab(made, "ssl.renew", "ssl.show").count("self-signed") == 2
    assert certificate(made) != before
    assert made.get().status == 200


def test_a_deploy_is_told_to_a_webhook_and_none_fails_where_it_is_down(made: Fleet) -> None:
    got: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/a-path-that-nobody-may-see"
        kept = made.try_command("fab", "secrets.set", "webhook", "--from-environment", "HOOK", HOOK=url)
        assert kept.code == 0, kept.output
        with made.edited("settings.py", "NOTIFY = []", 'NOTIFY = [{"secret": "webhook"}]'):
            made.commit("Told to a webhook")
            fab(made, "deploy")
            server.shutdown()
            thread.join()
            server.server_close()
            made.commit("Told to nobody")
            told = fab(made, "deploy")
    assert [text for text in got if "guestbook was deployed" in text and ONE in text] == got
    assert len(got) == 1
    assert "warning: the webhook webhook was not told" in told
    assert "nobody-may-see" not in told
    assert made.get().status == 200
