"""One server with everything and a second dbserver: TLS, pgbouncer, backups, a restore, and who leads, from outside."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from ipaddress import ip_network

import pytest
from fleet import Fleet, own_deployment
from machine_world import until
from object_storage import object_storage

pytestmark = pytest.mark.devcloud
ONE, TWO = "dbappbalancer1", "dbserver2"
SERVERS = f"""
OPENSTACK_SERVERS = {{
    "dbappbalancer": [("{ONE}", "m1.small")],
    "dbserver": [("{TWO}", "m1.small")],
}}
DATABASES["maps"] = {{"owner": "guestbook", "postgis": True}}
"""
LINES = ("openstack_bootem", "root provision", "everything launch")
DATA = "/var/lib/postgresql/*/main"
BOTH = ("dbappbalancer", "dbserver")


@pytest.fixture(scope="module")
def made(devcloud) -> Iterator[Fleet]:
    """A deployment of its own. The tests build on each other: what one leaves is where the next begins."""
    home = devcloud.state.parent / "with-databases"
    with own_deployment(devcloud.directory / "clouds.yaml", home, ONE, SERVERS, LINES) as fleet:
        yield fleet


def psql(fleet: Fleet, server: str, sql: str, database: str = "guestbook") -> str:
    """As the server's own superuser."""
    return fleet.sudo(server, f"cd /; runuser -u postgres -- psql -XqAt -d {database} -c {shlex.quote(sql)}").strip()


def pgbouncer(fleet: Fleet, command: str) -> str:
    ask = f"runuser -u pgbouncer -- psql -XqAt -h /run/pgbouncer -p 6432 -d pgbouncer -c {shlex.quote(command)}"
    return fleet.sudo(ONE, f"cd /; {ask}").strip()


def state(fleet: Fleet) -> dict[str, dict[str, object]]:
    told = json.loads(fleet.fab(*BOTH, "postgresql.state", "--json"))
    assert set(told) == {ONE, TWO}
    return dict(told)


def now() -> str:
    return f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S.%f}"


def test_a_signature_goes_through_pgbouncer_into_the_database_and_its_copy(made: Fleet) -> None:
    assert made.sign("Ada", "through the pool").status == 302
    count = "SELECT count(*) FROM entries_entry WHERE message = 'through the pool'"
    assert psql(made, ONE, count) == "1"
    assert until(lambda: psql(made, TWO, count) == "1")
    assert "guestbook|guestbook" in pgbouncer(made, "SHOW POOLS")
    assert re.search(r"@127\.0\.0\.1:6432/guestbook", made.sudo(ONE, "cat /srv/sites/guestbook/shared/env"))


def test_who_leads_and_who_follows_over_tls(made: Fleet) -> None:
    told = state(made)
    assert (told[ONE]["role"], told[TWO]["role"], told[TWO]["receiving"]) == ("primary", "replica", True)
    ask = "SELECT usename, ssl, version FROM pg_stat_replication JOIN pg_stat_ssl USING (pid)"
    assert psql(made, ONE, ask) == "replication|t|TLSv1.3"


@pytest.mark.parametrize("name", [ONE, TWO])
def test_it_is_as_a_security_audit_wants_it(made: Fleet, name: str) -> None:
    ask = "SELECT name, setting FROM pg_settings WHERE name IN ('ssl', 'password_encryption', 'data_checksums')"
    assert set(psql(made, name, ask).split()) == {"ssl|on", "password_encryption|scram-sha-256", "data_checksums|on"}
    rules = psql(made, name, "SELECT type, database, auth_method, address FROM pg_hba_file_rules").splitlines()
    assert {rule.split("|")[2] for rule in rules} == {"peer", "scram-sha-256"}
    assert {rule.split("|")[0] for rule in rules} <= {"local", "hostssl"}
    assert psql(made, name, "SELECT rolname FROM pg_roles WHERE rolsuper AND rolcanlogin") == "postgres"
    assert psql(made, name, "SHOW statement_timeout") == "5min"
    for unit, limit in (("postgresql@*-main", 3.5), *([("pgbouncer", 2.0)] if name == ONE else [])):
        unit = made.sudo(name, f"systemctl list-units --plain --no-legend '{unit}.service'").split()[0]
        told = made.sudo(name, f"systemd-analyze --no-pager security {unit}")
        assert float(re.search(r"exposure level for \S+: ([\d.]+)", told)[1]) <= limit  # type: ignore[index]


def test_nobody_else_comes_in(made: Fleet) -> None:
    password, address = made.secret("database-guestbook"), made.server(ONE).private_ip
    tries = {
        "not over TLS": f"host={address} user=guestbook dbname=guestbook sslmode=disable",
        "from a server without sites": f"host={address} user=guestbook dbname=guestbook sslmode=require",
        "to another database": f"host={address} user=replication dbname=postgres sslmode=require",
    }
    for what, login in tries.items():
        done = made.ssh(TWO, f"PGPASSWORD={password} psql -XAt -c 'SELECT 1' {shlex.quote(login)} || true")
        assert "no pg_hba.conf entry" in done.output, what
    wrong = made.ssh(
        ONE, "PGPASSWORD=guess psql -XAt -h 127.0.0.1 -p 6432 -U guestbook -c 'SELECT 1' guestbook || true"
    )
    assert "FATAL" in wrong.output


def test_postgis_is_there_on_request(made: Fleet) -> None:
    assert psql(made, ONE, "SELECT ST_Distance('POINT(0 0)'::geometry, 'POINT(3 4)'::geometry)", "maps") == "5"


def test_paused_nobody_is_refused_they_wait(made: Fleet) -> None:
    made.get()
    pgbouncer(made, "PAUSE")
    try:
        address = made.server(ONE).address
        visitor = subprocess.Popen(
            ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", f"https://{address}/"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert until(lambda: re.search(r"^guestbook\|guestbook\|\d+\|[1-9]", pgbouncer(made, "SHOW POOLS"), re.M), 10)
        assert visitor.poll() is None
    finally:
        pgbouncer(made, "RESUME")
    assert visitor.communicate(timeout=20)[0] == "200"


def test_a_cook_tells_pgbouncer_and_disconnects_nobody(made: Fleet) -> None:
    ask = "systemctl show -P MainPID pgbouncer"
    before = made.sudo(ONE, ask)
    recipes = "recipes: [supervisor, pgbouncer, django]"
    attributes = f"{recipes}\n    default_attributes: {{pgbouncer.settings: {{max_client_conn: 900}}}}"
    with made.edited("kokki-config.yaml", recipes, attributes):
        assert "Service[pgbouncer] changed: reloaded" in made.fab("dbappbalancer", "kokki")
        assert "max_client_conn|900" in pgbouncer(made, "SHOW CONFIG")
    made.fab("dbappbalancer", "kokki")
    assert made.sudo(ONE, ask) == before


def test_again_nothing_changes(made: Fleet) -> None:
    assert " 0 changes" in made.fab("everything", "kokki").splitlines()[-1]
    assert " 0 changes" in made.fab("everything", "kokki", "--dry-run").splitlines()[-1]


def test_backups_are_made_and_proven_by_a_drill(made: Fleet) -> None:
    made.fab("dbappbalancer", "postgresql.backup")
    assert "(diff)" in made.fab("dbappbalancer", "postgresql.backup")
    told = json.loads(made.fab("dbappbalancer", "postgresql.backups", "--json"))
    assert [(one["type"], one["ok"]) for one in told][:2] == [("full", True), ("diff", True)]
    assert "pg_amcheck finds nothing" in made.fab("dbappbalancer", "postgresql.restore_drill")
    assert made.sudo(ONE, "ls /var/lib/postgresql").split() == [
        psql(made, ONE, "SHOW server_version")[:2],
        "restore-drill.json",
    ]
    assert "Persistent=yes" in made.sudo(ONE, "systemctl show -p Persistent deploymachine-backup.timer")


def test_a_drill_that_is_killed_leaves_nothing(made: Fleet) -> None:
    with made.start("dbappbalancer", "postgresql.restore_drill") as running:
        assert until(lambda: made.sudo(ONE, "ls -d /var/lib/postgresql/restore-drill/data 2>/dev/null || true"))
        os.killpg(running.pid, signal.SIGKILL)
    made.sudo(ONE, "systemctl kill --signal=KILL deploymachine-restore-drill")
    gone = "ls -d /var/lib/postgresql/restore-drill 2>/dev/null || true"
    assert until(lambda: not made.sudo(ONE, gone))
    assert "pg_amcheck finds nothing" in made.fab("dbappbalancer", "postgresql.restore_drill")


def test_backups_go_to_object_storage_encrypted(made: Fleet, devcloud) -> None:
    address = str(ip_network(devcloud.layout.network)[1])  # this machine's, as the servers see it
    certificate = made.directory / "storage.pem"
    made.command(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
        *("-subj", f"/CN={address}", "-keyout", str(certificate), "-out", "storage.crt"),
    )
    (made.directory / "storage.key").write_text("a secret key of a test\n")
    with certificate.open("a") as both:
        both.write((made.directory / "storage.crt").read_text())
    with object_storage(address, certificate, "AKEY") as (port, objects):
        where = {
            "bucket": "backups",
            "endpoint": f"{address}:{port}",
            "region": "eu",
            "key": "AKEY",
            "uri_style": "path",
        }
        told = f"BACKUP_S3 = {where | {'secret_file': 'storage.key'}}\nEXTRA_CA_CERTIFICATES = ['storage.crt']"
        with made.edited("settings.py", "BACKUP_S3 = None", told):
            made.fab("dbappbalancer", "kokki")
            made.fab("dbappbalancer", "postgresql.backup")
            found = json.loads(made.fab("dbappbalancer", "postgresql.backups", "--json"))
        made.fab("dbappbalancer", "kokki")  # before it is gone
    assert [(one["type"], one["ok"]) for one in found if one["repository"] == 2] == [("full", True)]
    assert {name.split("/")[1] for name in objects} == {"archive", "backup"}
    assert [name for name, data in objects.items() if b"backrest" in data or b"PostgreSQL" in data] == []


def test_a_restore_to_a_moment_brings_back_what_was_lost(made: Fleet) -> None:
    psql(made, ONE, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    moment = now()
    psql(made, ONE, "DELETE FROM kept WHERE n > 10")
    asked = made.refused("dbappbalancer", "postgresql.restore", "--to-time", moment)
    assert "--yes" in asked
    told = made.fab("dbappbalancer", "postgresql.restore", "--to-time", moment, "--yes")
    assert psql(made, ONE, "SELECT count(*) FROM kept") == "1000"
    assert made.get().status == 200
    aside = re.search(r"until now: (\S+) on", told)[1]  # type: ignore[index]
    assert made.sudo(ONE, f"cat {aside}/PG_VERSION").strip() in psql(made, ONE, "SHOW server_version")
    long_ago = f"{datetime.now(timezone.utc) - timedelta(days=9):%Y-%m-%d %H:%M}"
    assert "No backup is older" in made.refused("dbappbalancer", "postgresql.restore", "--to-time", long_ago, "--yes")


def test_a_restore_that_is_killed_ends_well_the_next_time(made: Fleet) -> None:
    with made.start("dbappbalancer", "postgresql.restore", "--yes") as running:
        assert until(lambda: made.sudo(ONE, f"ls -d {DATA}.restoring 2>/dev/null || true"))
        made.sudo(ONE, "for p in $(pgrep -f '^python3 -I -S -c'); do kill -9 $p; done || true")
        running.communicate()
    # And as if it had been killed between its two renames.
    made.sudo(
        ONE, f"systemctl stop postgresql@$(ls /etc/postgresql)-main; cd {DATA} && mv $PWD $PWD.before-29991231T235959Z"
    )
    made.fab("dbappbalancer", "postgresql.restore", "--yes")
    assert psql(made, ONE, "SELECT count(*) FROM kept") == "1000"
    assert made.sudo(ONE, f"ls -d {DATA}.restoring {DATA}.before-2999* 2>/dev/null || true") == ""
    assert made.get().status == 200


def test_the_copy_is_made_anew_and_takes_over_with_everything(made: Fleet) -> None:
    made.fab("dbserver", "postgresql.follow", "--server", TWO, "--yes")
    assert made.sign("Grace", "before the change").status == 302
    made.fab("dbserver", "postgresql.promote", "--server", TWO, "--yes")
    told = state(made)
    assert (told[ONE]["role"], told[TWO]["role"]) == ("retired", "primary")
    assert "before the change" in made.get().text
    assert made.sign("Grace", "after the change").status == 302
    ask = "SELECT DISTINCT ssl, version FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename = 'guestbook'"
    assert psql(made, TWO, ask) == "t|TLSv1.3"
    assert " 0 changes" in made.fab("everything", "kokki").splitlines()[-1]


def test_no_cook_changes_who_leads(made: Fleet) -> None:
    note = made.directory / ".deploymachine/database-primary"
    note.write_text(f"{ONE}\n")
    for name, words in ((TWO, "has data of its own"), (ONE, "were given up")):
        assert words in made.refused(f"server:{name}", "kokki")
    assert f"{TWO} leads" in made.fab(*BOTH, "postgresql.primary")
    assert note.read_text() == f"{TWO}\n"
    assert {name: one["role"] for name, one in state(made).items()} == {ONE: "retired", TWO: "primary"}


def test_the_old_one_follows_when_it_is_told_to(made: Fleet) -> None:
    made.fab("dbappbalancer", "postgresql.follow", "--server", ONE, "--yes")
    assert until(
        lambda: psql(made, ONE, "SELECT count(*) FROM entries_entry WHERE message = 'after the change'") == "1"
    )
    assert state(made)[ONE]["role"] == "replica"
    assert made.sudo(ONE, f"ls -d {DATA}.before-*").strip()


def test_secrets_are_nowhere_to_be_read(made: Fleet) -> None:
    collect = "ps axww; journalctl --no-pager; find /var/log /var/lib/deploymachine -type f -exec cat {} +"
    passwords = [made.secret("database-guestbook"), made.secret("database-replication")]
    for name in (ONE, TWO):
        told = made.sudo(name, collect)
        assert [password for password in passwords if password in told] == []
        assert "SCRAM-SHA-256$4096:" not in told
    assert made.ssh(ONE, "cat /etc/pgbouncer/userlist.txt /etc/postgresql/tls/server.key").code != 0
