"""Passwords changed on two servers that serve, under load: nobody notices, and nobody gets in with a former one."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator

import pyrage
import pytest
from fleet import Fleet, own_deployment
from load import load
from machine_world import until

pytestmark = pytest.mark.devcloud
ONE, TWO = "dbappbalancer1", "appnode1"
SERVERS = f"""
OPENSTACK_SERVERS = {{"dbappbalancer": [("{ONE}", "m1.small")], "appnode": [("{TWO}", "m1.small")]}}
"""
LINES = ("openstack_bootem", "root provision", "everything launch")
NAME = "database-guestbook"


@pytest.fixture(scope="module")
def made(devcloud) -> Iterator[Fleet]:
    """A deployment of its own. The tests build on each other: what one leaves is where the next begins."""
    home = devcloud.state.parent / "with-secrets"
    with own_deployment(devcloud.directory / "clouds.yaml", home, ONE, SERVERS, LINES) as fleet:
        yield fleet


def psql(fleet: Fleet, sql: str) -> str:
    return fleet.sudo(ONE, f"cd /; runuser -u postgres -- psql -XqAt -d guestbook -c {shlex.quote(sql)}").strip()


def gets_in(fleet: Fleet, server: str, user: str, password: str) -> bool:
    """Through the pgbouncer there."""
    login = f"host=127.0.0.1 port=6432 user={user} dbname=guestbook"
    line = f"read -r PGPASSWORD; export PGPASSWORD; psql -XAtw -c 'SELECT 1' {shlex.quote(login)} 2>&1 || true"
    return fleet.sudo(server, line, password + "\n").strip() == "1"


def certificate(fleet: Fleet):
    return fleet.directory / ".deploymachine/certificates/guestbook.pem"


def logs_in_as(fleet: Fleet, server: str) -> str:
    return re.search(r"postgresql://([^:]+):", fleet.sudo(server, "cat /srv/sites/guestbook/shared/env"))[1]  # type: ignore[index]


def test_a_database_password_changes_and_no_visitor_notices(made: Fleet) -> None:
    former = made.secret(NAME)
    # Somebody who was let in with the former one and goes on: a long task, a shell that was left open.
    stays = "set -a; . /srv/sites/guestbook/shared/env; setsid sleep 3600 </dev/null >/dev/null 2>&1 & echo $!"
    somebody = made.sudo(TWO, stays).strip()
    with load(made.server(ONE).address, certificate(made)) as visitors:
        visitors.goes_on(20)
        told = made.refused("secrets.rotate", NAME, "--yes", "--patience", "1")
        assert f"{TWO}: sleep (process {somebody})" in told
        visitors.goes_on(20)
        now = {server: logs_in_as(made, server) for server in (ONE, TWO)}
        assert set(now.values()) == {"guestbook-b"}
        assert gets_in(made, TWO, "guestbook", former)  # as somebody still needs it
        made.sudo(TWO, f"kill {somebody}")
        assert "is another now" in made.fab("secrets.rotate", NAME, "--yes")
        visitors.goes_on(20)
    assert visitors.failures == []
    assert set(visitors.by) == {ONE, TWO}
    assert made.secret(NAME) != former
    for server in (ONE, TWO):
        assert gets_in(made, server, "guestbook-b", made.secret(NAME))
        assert not gets_in(made, server, "guestbook", former)
    assert (
        psql(made, "SELECT rolname FROM pg_authid WHERE rolcanlogin AND rolpassword IS NULL") == "postgres\nguestbook"
    )
    assert psql(made, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'guestbook'") == "0"


def test_what_the_other_login_makes_is_the_owners(made: Fleet) -> None:
    manage = "cd /; runuser -u site-guestbook -- /srv/sites/guestbook/shared/run python manage.py"
    made.sudo(ONE, f"{manage} migrate entries zero && {manage} migrate")
    assert psql(made, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'") == "guestbook"
    assert made.sign("Ada", "as another login").status == 302


def test_again_nothing_changes(made: Fleet) -> None:
    assert " 0 changes" in made.fab("everything", "kokki").splitlines()[-1]


def test_the_password_of_sudo_changes(made: Fleet) -> None:
    former = made.secret("deploy-password")
    made.fab("secrets.rotate", "deploy-password", "--yes")
    assert made.secret("deploy-password") != former
    for server in (ONE, TWO):
        assert made.sudo(server, "id -u").strip() == "0"
        assert made.ssh(server, f"echo {former} | sudo -k -S -p '' true").code != 0


def test_who_is_logged_in_stays_so_with_another_secret_key(made: Fleet) -> None:
    former = made.secret("site-guestbook-secret-key")
    made.fab("secrets.rotate", "site-guestbook-secret-key", "--yes")
    for server in (ONE, TWO):
        lines = made.sudo(server, "cat /srv/sites/guestbook/shared/env").splitlines()
        assert f"SECRET_KEY='{made.secret('site-guestbook-secret-key')}'" in lines
        assert f"SECRET_KEY_FALLBACKS='{former}'" in lines


def test_encrypted_it_serves_as_before(made: Fleet) -> None:
    known = json.loads((made.directory / ".deploymachine/secrets.json").read_text())
    identity = pyrage.x25519.Identity.generate()
    (made.directory / "identity").write_text(f"{identity}\n")
    made.add_settings(f"SECRETS_RECIPIENTS = ['{identity.to_public()}']\nSECRETS_IDENTITY = 'identity'\n")
    assert until(lambda: " 0 changes" in made.fab("everything", "kokki").splitlines()[-1])
    assert not (made.directory / ".deploymachine/secrets.json").exists()
    sealed = (made.directory / ".deploymachine/secrets.json.age").read_bytes()
    opened = json.loads(pyrage.decrypt(sealed, [identity]))
    assert known.items() <= opened.items()
    assert made.fab("secrets.get", "deploy-password").strip() == known["deploy-password"]
    assert made.get().status == 200
