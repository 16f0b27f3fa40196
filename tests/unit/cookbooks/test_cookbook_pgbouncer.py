"""What pgbouncer is told: whom it asks, how, and who may ask it."""

from __future__ import annotations

from configparser import ConfigParser

import pytest


@pytest.fixture
def pgbouncer(declare):
    def declared(**attributes):
        given = {
            "databases": [{"name": "guestbook", "owner": "guest", "pooling": "transaction", "connections": 9}],
            "passwords": {"guest": 'a "quoted" one'},
            **attributes,
        }
        return declare("pgbouncer", **{f"pgbouncer.{key}": value for key, value in given.items()})

    return declared


def told(kitchen, content):
    parser = ConfigParser(interpolation=None, comment_prefixes=(";", "%"))
    parts = [content(kitchen, f"/etc/pgbouncer/{name}") for name in ("pgbouncer.ini", "running.ini")]
    parser.read_string("".join(parts))
    return parser


def test_it_asks_another_server_over_tls_and_checks_its_name(pgbouncer, content):
    kitchen = pgbouncer(server={"address": "10.0.0.6", "port": 5432}, authority="PEM")
    parser = told(kitchen, content)
    assert parser["databases"]["guestbook"] == (
        "host=10.0.0.6 port=5432 dbname=guestbook pool_mode=transaction pool_size=9 max_db_connections=9"
    )
    assert parser["pgbouncer"]["server_tls_sslmode"] == "verify-full"
    assert content(kitchen, parser["pgbouncer"]["server_tls_ca_file"]) == "PEM"


def test_it_asks_its_own_server_at_the_unix_socket(pgbouncer, content):
    parser = told(pgbouncer(), content)
    assert parser["databases"]["guestbook"].startswith("host=/run/postgresql dbname=guestbook ")
    assert "server_tls_sslmode" not in parser["pgbouncer"]


def test_nobody_comes_from_elsewhere_nor_without_a_password(pgbouncer, content):
    parser = told(pgbouncer(), content)
    assert (parser["pgbouncer"]["listen_addr"], parser["pgbouncer"]["auth_type"]) == ("127.0.0.1", "scram-sha-256")


def test_passwords_are_for_it_alone(pgbouncer, content):
    kitchen = pgbouncer()
    file = kitchen.resources["File"]["/etc/pgbouncer/userlist.txt"]
    assert (file.owner, file.group, file.mode, file.backup) == ("root", "pgbouncer", 0o640, False)
    assert content(kitchen, file.path) == '"guest" "a ""quoted"" one"\n'


def test_what_changes_from_day_to_day_disconnects_nobody(pgbouncer):
    kitchen = pgbouncer(server={"address": "10.0.0.6", "port": 5432}, authority="PEM")
    asked = {
        path.rpartition("/")[2]: {action for action, _service in file.subscriptions["delayed"]}
        for path, file in kitchen.resources["File"].items()
        if path.startswith("/etc/pgbouncer/")
    }
    assert asked == {
        "pgbouncer.ini": {"restart"},
        "running.ini": {"reload"},
        "userlist.txt": {"reload"},
        "authority.pem": {"reload"},
    }


def test_settings_of_the_users_win(pgbouncer, content):
    parser = ConfigParser(interpolation=None, comment_prefixes=(";",), strict=False)
    parser.read_string(
        "[pgbouncer]\n" + content(pgbouncer(settings={"query_wait_timeout": 5}), "/etc/pgbouncer/running.ini")
    )
    assert parser["pgbouncer"]["query_wait_timeout"] == "5"
