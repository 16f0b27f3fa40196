"""What PostgreSQL is told, and that its passwords are recognised without ever being sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kokki import Fail

CONF = "/etc/postgresql/17/main/conf.d"
IDENTITY = {"authority": "A", "certificate": "C", "key": "K"}
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
# RFC 7677's own example: user "user", password "pencil".
STORED, SERVER = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=", "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
VERIFIER = f"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==${STORED}:{SERVER}"


@pytest.fixture
def postgresql(declare):
    def declared(**attributes):
        given = {"version": "17", "memory_mb": 1024, **attributes}
        return declare("postgresql", **{f"postgresql.{key}": value for key, value in given.items()})

    return declared


@pytest.fixture
def library(postgresql):
    return postgresql().cookbooks.postgresql


def test_only_the_named_clients_may_connect_and_only_over_tls(postgresql, content):
    clients = [
        {"database": "guestbook", "user": "guest", "address": "10.0.0.5"},
        {"database": "other", "user": "o", "address": "fd00::5"},
        {"database": "other", "user": "o", "address": "local"},
    ]
    rules = content(postgresql(clients=clients), "/etc/postgresql/17/main/pg_hba.conf").splitlines()
    rules = [rule.split() for rule in rules if not rule.startswith("#")]
    assert rules == [
        ["local", "all", "postgres", "peer"],
        ["hostssl", '"guestbook"', '"guest"', "10.0.0.5/32", "scram-sha-256"],
        ["hostssl", '"other"', '"o"', "fd00::5/128", "scram-sha-256"],
        ["local", '"other"', '"o"', "scram-sha-256"],
    ]


def settings(text):
    pairs = (line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    return {name: value.strip("'") for name, value in pairs}


@pytest.mark.parametrize(
    ("memory", "buffers", "cache"), [(64, "32MB", "64MB"), (1024, "256MB", "768MB"), (32768, "8192MB", "24576MB")]
)
def test_it_is_tuned_to_the_machines_memory(postgresql, content, memory, buffers, cache):
    kitchen = postgresql(memory_mb=memory, listen_addresses=["10.0.0.6"])
    directory = "/etc/postgresql/17/main/conf.d"
    start = settings(content(kitchen, f"{directory}/deploymachine-start.conf"))
    running = settings(content(kitchen, f"{directory}/deploymachine.conf"))
    assert (start["shared_buffers"], running["effective_cache_size"]) == (buffers, cache)
    assert start["listen_addresses"] == "localhost,10.0.0.6"
    assert running["password_encryption"] == "scram-sha-256"


def test_beside_sites_it_takes_its_share(postgresql, content):
    start = settings(content(postgresql(memory_share=0.5), f"{CONF}/deploymachine-start.conf"))
    assert start["shared_buffers"] == "128MB"


@pytest.mark.parametrize(
    ("kind", "flag", "cost"), [("nvme0n1", "0", "1.1"), ("sda", "1", "4"), ("vda", "1", "1.1"), ("sda", None, "1.1")]
)
def test_the_kernel_says_what_kind_of_disk_it_is(library, tmp_path, kind, flag, cost):
    number = tmp_path.stat().st_dev
    partition = tmp_path / "devices" / kind / f"{kind}1"
    (partition.parent / "queue").mkdir(parents=True)
    partition.mkdir()
    if flag is not None:
        (partition.parent / "queue" / "rotational").write_text(f"{flag}\n")
    (tmp_path / f"{os.major(number)}:{os.minor(number)}").symlink_to(partition)
    found = library.disk(None, str(tmp_path / "not" / "there" / "yet"), str(tmp_path))
    assert library.PLANNER[found]["random_page_cost"] == cost


def test_a_disk_that_was_chosen_is_believed(postgresql, content):
    assert settings(content(postgresql(disk="hdd"), f"{CONF}/deploymachine.conf"))["random_page_cost"] == "4"
    with pytest.raises(Fail, match="it has to be ssd or hdd"):
        postgresql(disk="floppy")


@pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not installed")
@pytest.mark.parametrize("memory", [256, 1024, 65536])
def test_postgresql_itself_accepts_all_of_it(postgresql, content, run, tmp_path, memory):
    kitchen = postgresql(memory_mb=memory, identity=IDENTITY, settings={"jit": "off", "search_path": "a, 'b'"})
    names = ("deploymachine-start.conf", "deploymachine.conf")
    text = "\n".join(content(kitchen, f"{CONF}/{name}") for name in names)
    (tmp_path / "postgresql.conf").write_text(f"data_directory = '{tmp_path}'\n{text}")
    told = run(PROGRAMS[-1], "-C", "statement_timeout", "-D", tmp_path)
    assert told.splitlines()[0] == "300000"


def test_it_proves_its_name_with_a_key_that_is_its_own(postgresql, content):
    kitchen = postgresql(identity=IDENTITY)
    key = kitchen.resources["File"]["/etc/postgresql/tls/server.key"]
    assert (key.group, key.mode, key.backup) == ("postgres", 0o640, False)
    running = settings(content(kitchen, f"{CONF}/deploymachine.conf"))
    assert (running["ssl"], running["ssl_key_file"]) == ("on", key.path)


def test_only_what_is_read_at_the_start_restarts_it(postgresql):
    kitchen = postgresql()
    told = {
        path.rpartition("/")[2]: {action for action, _service in file.subscriptions["delayed"]}
        for path, file in kitchen.resources["File"].items()
        if path.startswith("/etc/postgresql/")
    }
    assert told == {
        "deploymachine-start.conf": {"restart"},
        "deploymachine.conf": {"reload"},
        "pg_hba.conf": {"reload"},
    }


def test_a_verifier_is_the_one_of_the_standard(library):
    assert library.verifies("pencil", VERIFIER)
    assert not library.verifies("pencils", VERIFIER)


@pytest.mark.parametrize("password", ["plain", "it's", "Ünï ½", "\u00a0space", "tab\tkept"])
def test_a_password_is_recognised_by_its_own_verifier_alone(library, password):
    verifier = library.make_verifier(password)
    assert library.verifies(password, verifier)
    assert not library.verifies(password + "x", verifier)
    assert password not in verifier


@pytest.mark.parametrize("stored", [None, "", "md5abc", "SCRAM-SHA-256$broken"])
def test_what_is_no_verifier_verifies_nothing(library, stored):
    assert not library.verifies("pencil", stored)


def cooked(kitchen, kind, holds, asked):
    """Run one resource against contents as psql would tell them; what it asks PostgreSQL to do lands in `asked`."""
    kitchen.config.postgresql["_contents"] = holds
    kitchen.cookbook("postgresql")._library["psql"] = lambda sql, what: asked.append(sql)
    (resource,) = kitchen.resources[kind].values()
    kitchen.run_action(resource, "create")
    return resource.is_updated


def test_a_role_is_made_changed_and_left_alone(postgresql):
    asked = []
    empty = {"roles": {}, "databases": {}}
    assert cooked(postgresql(roles={"guest": "pencil"}), "PostgresqlRole", empty, asked)
    assert cooked(postgresql(roles={"guest": "new"}), "PostgresqlRole", {"roles": {"guest": VERIFIER}}, asked)
    assert not cooked(postgresql(roles={"guest": "pencil"}), "PostgresqlRole", {"roles": {"guest": VERIFIER}}, asked)
    assert [sql[:20] for sql in asked] == ['CREATE ROLE "guest" ', 'ALTER ROLE "guest" L']
    assert "pencil" not in "".join(asked)


def test_a_second_login_acts_as_the_owner_and_rests_without_a_password(postgresql):
    asked, acting = [], {"guest-b": "guest"}
    one = {"roles": {"guest-b": "pencil"}, "acting": acting}
    rests = {"roles": {"guest-b": None}, "acting": acting}
    there = {"roles": {"guest-b": VERIFIER}, "acting": {"guest-b": ["statement_timeout=1", "role=guest"]}}
    assert cooked(postgresql(**one), "PostgresqlRole", {"roles": {}, "acting": None}, asked)
    assert not cooked(postgresql(**one), "PostgresqlRole", there, asked)
    assert cooked(postgresql(**rests), "PostgresqlRole", there, asked)
    assert not cooked(postgresql(**rests), "PostgresqlRole", {**there, "roles": {"guest-b": ""}}, asked)
    made, resting = asked
    assert made.startswith('BEGIN; CREATE ROLE "guest-b" LOGIN PASSWORD \'SCRAM')
    assert made.endswith('GRANT "guest" TO "guest-b"; ALTER ROLE "guest-b" SET role TO "guest"; COMMIT;')
    assert resting.startswith('BEGIN; ALTER ROLE "guest-b" LOGIN PASSWORD NULL; SELECT pg_terminate_backend')
    assert "pencil" not in made


def test_a_database_is_made_handed_over_and_left_alone(postgresql):
    asked = []
    databases = [{"name": "guest-book", "owner": "guest"}]
    for owner, changes in ((None, True), ("other", True), ("guest", False)):
        holds = {"roles": {}, "databases": {} if owner is None else {"guest-book": owner}}
        assert cooked(postgresql(databases=databases), "PostgresqlDatabase", holds, asked) is changes
    assert asked == [
        "CREATE DATABASE \"guest-book\" OWNER \"guest\" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';",
        'ALTER DATABASE "guest-book" OWNER TO "guest";',
    ]
