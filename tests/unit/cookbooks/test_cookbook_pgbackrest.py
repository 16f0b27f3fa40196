"""Where backups go and when, and what the programs that make and prove them decide."""

from __future__ import annotations

import runpy
from configparser import ConfigParser
from pathlib import Path

import pytest

FILES = Path(__file__).parents[3] / "deploymachine" / "target" / "cookbooks" / "pgbackrest" / "files"
S3 = {
    "bucket": "b",
    "endpoint": "s3.example.com",
    "region": "eu",
    "key": "K",
    "secret": "a secret key",
    "path": "/",
    "uri_style": "host",
    "cipher_pass": "another secret",
}
NOW, HOUR, DAY = 1_800_000_000, 3600, 86400


@pytest.fixture
def configured(declare, content):
    def parsed(**attributes):
        given = {"version": "17", "memory_mb": 1024, **attributes}
        kitchen = declare("pgbackrest", **{f"postgresql.{key}": value for key, value in given.items()})
        parser = ConfigParser(interpolation=None)
        parser.read_string(content(kitchen, "/etc/pgbackrest/pgbackrest.conf"))
        return kitchen, parser

    return parsed


def test_backups_lie_on_the_servers_own_disk(configured):
    _kitchen, parser = configured(**{"backup.path": "/srv/backups", "backup.keep_full": 5})
    assert (parser["global"]["repo1-path"], parser["global"]["repo1-retention-full"]) == ("/srv/backups", "5")
    assert parser["main"]["pg1-path"] == "/var/lib/postgresql/17/main"
    assert "repo2-type" not in parser["global"]


def test_and_in_object_storage_encrypted_with_secrets_that_nobody_else_reads(configured):
    kitchen, parser = configured(**{"backup.s3": S3})
    told = parser["global"]
    assert (told["repo2-s3-bucket"], told["repo2-s3-key-secret"]) == ("b", "a secret key")
    assert (told["repo2-cipher-type"], told["repo2-cipher-pass"]) == ("aes-256-cbc", "another secret")
    file = kitchen.resources["File"]["/etc/pgbackrest/pgbackrest.conf"]
    assert (file.group, file.mode, file.backup) == ("postgres", 0o640, False)


def test_postgresql_may_write_where_its_backups_are(configured, content):
    kitchen, _parser = configured(**{"backup.path": "/srv/backups"})
    unit = kitchen.resources["SystemdUnit"]["postgresql@.service.d/deploymachine.conf"].content
    with kitchen:
        assert "ReadWritePaths=-/srv/backups\n" in unit()


@pytest.mark.parametrize(
    ("asked", "backups", "kind"),
    [
        ("scheduled", [], "full"),
        ("scheduled", [("full", 5 * HOUR)], None),
        ("scheduled", [("full", DAY)], "diff"),
        ("scheduled", [("full", 6 * DAY), ("diff", DAY)], "diff"),
        ("scheduled", [("full", 7 * DAY - HOUR), ("diff", DAY)], "full"),
        ("now", [("full", HOUR)], "diff"),
        ("now", [], "full"),
        ("full", [("full", HOUR)], "full"),
    ],
)
def test_a_full_one_each_week_and_each_day_what_differs(asked, backups, kind):
    wanted = runpy.run_path(str(FILES / "postgresql-backup"))["wanted"]
    found = [{"type": one, "at": NOW - age} for one, age in backups]
    assert wanted(asked, found, NOW, 7) == kind


def test_a_drill_compares_what_nobody_wrote_to_meanwhile():
    differences = runpy.run_path(str(FILES / "postgresql-drill"))["differences"]
    before = {"kept": 5, "lost": 3, "short": 9, "busy": 7, "gone": 1}
    after = {"kept": 5, "lost": 3, "short": 9, "busy": 8}
    found = {"kept": 5, "short": 8, "busy": 7}
    assert differences(before, after, found) == [
        "lost: 3 rows, restored none: no such table",
        "short: 9 rows, restored 8",
    ]
    assert differences(before, after, {"kept": 5, "lost": 3, "short": 9, "busy": 2}) == []
