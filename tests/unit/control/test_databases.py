"""Who keeps the databases, and how sites get there: worked out from settings and servers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from deploymachine import databases
from deploymachine.errors import ConnectError, SettingsError, UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.secrets import Secret
from deploymachine.servertypes import Deployment, _database, attributes
from deploymachine.settings_database import BackupS3

APPNODE = Server("appnode1", "appnode", "10.0.0.21")
DBSERVER = Server("dbserver1", "dbserver", "10.0.0.31", memory_mb=2048)
ALL = Server("all1", "dbappbalancer", "10.0.0.5", memory_mb=1024)


def with_servers(deployment: Deployment, *servers: Server, **settings: Any) -> Deployment:
    changed = deployment.settings.model_copy(update=settings)
    return replace(deployment, inventory=Inventory(servers), settings=changed)


def test_a_site_asks_the_pgbouncer_beside_it_which_checks_the_dbservers_name(deployment: Deployment) -> None:
    found = attributes(APPNODE, deployment)
    password = deployment.secrets.password("database-blog")
    url = found["django.sites"][0]["environment"]["DATABASE_URL"]
    assert url == f"postgresql://blog:{password}@127.0.0.1:6432/blog"
    assert found["pgbouncer.server"] == {"address": "10.0.0.31", "port": 5432}
    assert found["pgbouncer.passwords"] == {"blog": password}
    identity = attributes(DBSERVER, deployment)["postgresql.identity"]
    assert found["pgbouncer.authority"] == identity["authority"]


def test_where_both_are_one_server_they_meet_at_a_unix_socket(deployment: Deployment) -> None:
    alone = with_servers(deployment, ALL, APPNODE)
    found = attributes(ALL, alone)
    assert found["pgbouncer.server"] is None
    assert {client["address"] for client in found["postgresql.clients"]} == {"local", "10.0.0.21"}
    assert found["postgresql.memory_share"] < attributes(DBSERVER, deployment)["postgresql.memory_share"] == 1


@pytest.mark.parametrize("count", [1, 2, 3, 7, 90])
def test_all_pools_together_never_want_more_than_the_server_takes(deployment: Deployment, count: int) -> None:
    nodes = [Server(f"appnode{number}", "appnode", f"10.0.1.{number}") for number in range(1, count + 1)]
    fleet = with_servers(deployment, DBSERVER, *nodes)
    pools = [one for node in nodes for one in attributes(node, fleet)["pgbouncer.databases"]]
    assert sum(pool["connections"] for pool in pools) <= attributes(DBSERVER, fleet)["postgresql.max_connections"] - 10
    assert min(pool["connections"] for pool in pools) >= 1


def test_too_few_connections_for_so_many_are_refused(deployment: Deployment) -> None:
    nodes = [Server(f"appnode{number}", "appnode", f"10.0.1.{number}") for number in range(1, 13)]
    with pytest.raises(UsageError, match="20 connections to PostgreSQL are not enough") as error:
        attributes(nodes[0], with_servers(deployment, DBSERVER, *nodes, DATABASE_CONNECTIONS=20))
    assert "DATABASE_CONNECTIONS in settings.py has to be 22" in str(error.value)


def test_without_databases_no_pgbouncer_runs(deployment: Deployment) -> None:
    settings = deployment.settings
    sites = {name: site.model_copy(update={"database": None}) for name, site in settings.SITES.items()}
    none = with_servers(deployment, APPNODE, DBSERVER, DATABASES={}, SITES=sites)
    assert attributes(APPNODE, none)["pgbouncer.databases"] == []


SECOND = Server("dbserver2", "dbserver", "10.0.0.32", memory_mb=2048)


@pytest.fixture
def two(deployment: Deployment) -> Deployment:
    """Two that keep databases; settings.py names both."""
    servers = deployment.settings.OPENSTACK_SERVERS
    both = (*servers["dbserver"], servers["dbserver"][0].model_copy(update={"name": "dbserver2"}))
    return with_servers(deployment, APPNODE, DBSERVER, SECOND, OPENSTACK_SERVERS={**servers, "dbserver": both})


def test_the_first_leads_and_the_second_copies_it(two: Deployment) -> None:
    first, second = attributes(DBSERVER, two), attributes(SECOND, two)
    assert first["postgresql.primary"] is None
    assert first["postgresql.replicas"] == [{"name": "dbserver2", "address": "10.0.0.32", "slot": "dm_dbserver2"}]
    assert second["postgresql.primary"] == {"name": "dbserver1", "address": "10.0.0.31", "port": 5432}
    assert second["postgresql.slot"] == "dm_dbserver2"
    assert first["postgresql.replication_password"] == second["postgresql.replication_password"]
    told = [(rule["port"], rule["sources"]) for rule in first["base.firewall_rules"]]
    assert told == [(5432, ["10.0.0.21"]), (5432, ["10.0.0.31", "10.0.0.32"])]


def test_whoever_was_launched_leads_whatever_joins(two: Deployment) -> None:
    alone = replace(two, inventory=Inventory([APPNODE, SECOND]))
    _database.settle([APPNODE], alone)
    assert _database.primary(two) == DBSERVER
    _database.settle([SECOND], alone)
    assert _database.primary(two) == SECOND
    _database.settle([DBSERVER, SECOND], two)
    assert _database.primary(two) == SECOND
    _database.settle([DBSERVER], replace(two, inventory=Inventory([APPNODE, DBSERVER])))  # the second is gone
    assert _database.primary(two) == DBSERVER  # and another of its name is new


def test_whoever_was_promoted_leads_from_then_on_and_sites_follow(two: Deployment) -> None:
    _database.record_primary(SECOND, two)
    assert attributes(SECOND, two)["postgresql.primary"] is None
    assert attributes(DBSERVER, two)["postgresql.primary"]["name"] == "dbserver2"
    assert attributes(APPNODE, two)["pgbouncer.server"]["address"] == "10.0.0.32"
    gone = replace(two, inventory=Inventory([APPNODE, DBSERVER]))
    assert attributes(APPNODE, gone)["pgbouncer.server"]["address"] == "10.0.0.31"


def test_object_storage_is_told_its_secret_from_a_file(deployment: Deployment) -> None:
    storage = BackupS3(bucket="b-1", endpoint="s3.example.com", region="eu", key="K", secret_file="s3-secret")
    stored = with_servers(deployment, DBSERVER, APPNODE, BACKUP_S3=storage)
    with pytest.raises(SettingsError, match="secret_file"):
        attributes(DBSERVER, stored)
    (deployment.settings.directory / "s3-secret").write_text("very secret\n")
    found = attributes(DBSERVER, stored)["postgresql.backup.s3"]
    assert (found["secret"], found["bucket"], found["path"]) == ("very secret", "b-1", "/")
    assert all(isinstance(found[name], Secret) for name in ("secret", "cipher_pass"))


NOW = datetime(2026, 2, 1, 12, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("2026-01-31 12:00", "2026-01-31 12:00:00.000000+00"),
        ("2026-01-31T12:00:05Z", "2026-01-31 12:00:05.000000+00"),
        ("2026-01-31 12:00:05.25", "2026-01-31 12:00:05.250000+00"),
    ],
)
def test_a_moment_is_written_in_utc(written: str, told: str) -> None:
    assert databases.moment(written, NOW) == told


@pytest.mark.parametrize(("written", "why"), [("yesterday", "is no time"), ("2026-02-01 12:01", "still to come")])
def test_what_is_no_moment_is_refused(written: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        databases.moment(written, NOW)


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ({"dbserver2": "replica", "dbserver1": "primary"}, databases.Old(DBSERVER, silent=False)),
        ({"dbserver2": "replica", "dbserver1": "retired"}, databases.Old(DBSERVER, silent=False)),
        ({"dbserver2": "replica"}, databases.Old(DBSERVER, silent=True)),
        ({"dbserver2": "primary", "dbserver1": "replica"}, None),
    ],
)
def test_who_has_to_be_given_up_first(
    two: Deployment, roles: dict[str, str], expected: databases.Old | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(server: Server, _action: str, _deployment: Deployment) -> dict[str, str]:
        if server.name not in roles:
            raise ConnectError(f"{server.name} does not answer")
        return {"role": roles[server.name]}

    monkeypatch.setattr(databases, "look", look)
    assert databases.old_primary(SECOND, two) == expected


def test_who_does_not_copy_can_not_take_over(two: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "look", lambda *_: {"role": "stopped"})
    with pytest.raises(UsageError, match="dbserver2 can't lead: its PostgreSQL is stopped"):
        databases.old_primary(SECOND, two)
    with pytest.raises(UsageError, match="appnode1 keeps no databases"):
        databases.old_primary(APPNODE, two)


def test_whoever_has_less_than_another_does_not_take_over_from_one_that_is_silent(
    two: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = Server("dbserver3", "dbserver", "10.0.0.33")
    three = replace(two, inventory=Inventory([*two.inventory, third]))
    told = {"dbserver2": 4096, "dbserver3": 5000}

    def look(server: Server, _action: str, _deployment: Deployment) -> dict[str, object]:
        if server.name not in told:
            raise ConnectError(f"{server.name} does not answer")
        return {"role": "replica", "lsn": told[server.name]}

    monkeypatch.setattr(databases, "look", look)
    with pytest.raises(UsageError, match="dbserver3 has 904 bytes of log that dbserver2 has not"):
        databases.old_primary(SECOND, three)
    assert databases.old_primary(third, three) == databases.Old(DBSERVER, silent=True)
