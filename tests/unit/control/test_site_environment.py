"""A site that somebody else wrote: its environment from ours, its packages, its build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploymachine.errors import SettingsError
from deploymachine.inventory import Inventory, Server
from deploymachine.secrets import Secret
from deploymachine.servertypes import Deployment, attributes
from deploymachine.settings import load


def added(directory: Path, line: str) -> None:
    path = directory / "settings.py"
    path.write_text(f'{path.read_text()}\nblog = SITES["blog"]\n{line}\n')


def site(directory: Path, deployment: Deployment, *more: Server) -> dict[str, Any]:
    """The site as appnode1 is told of it."""
    there = Inventory([*deployment.inventory, *more])
    found = Deployment(load(directory), there, deployment.secrets)
    return dict(attributes(there.named("appnode1"), found)["django.sites"][0])


def test_a_project_gets_its_database_in_pieces(directory: Path, deployment: Deployment) -> None:
    pieces = {part: f"${{DATABASE_{part}}}" for part in ("HOST", "PORT", "NAME", "USER", "PASSWORD")}
    added(directory, f'blog["environment"] = {pieces}')
    told = site(directory, deployment)["environment"]
    assert [told[part] for part in ("HOST", "PORT", "NAME", "USER")] == ["127.0.0.1", "6432", "blog", "blog"]
    assert told["PASSWORD"] == deployment.secrets.password("database-blog")
    assert isinstance(told["PASSWORD"], Secret)
    assert told["PASSWORD"] in told["DATABASE_URL"]


def test_a_value_may_hold_several_references_and_plain_text(directory: Path, deployment: Deployment) -> None:
    added(directory, 'blog["environment"] = {"A": "x=${SITE_URL}/y;${SITE_SHARED}", "B": "$${HOME} $5 $(x)"}')
    told = site(directory, deployment)["environment"]
    assert told["A"] == "x=https://198.51.100.7/y;/srv/sites/blog/shared"
    assert told["B"] == "${HOME} $5 $(x)"
    assert not isinstance(told["A"], Secret)


def test_what_refers_to_a_cache_is_there_with_the_cache(directory: Path, deployment: Deployment) -> None:
    added(directory, 'blog["environment"] = {"REDIS": "${CACHE_URL}", "MORE": "1"}')
    assert "REDIS" not in site(directory, deployment)["environment"]
    told = site(directory, deployment, Server("cachenode1", "cachenode", "10.0.0.41"))["environment"]
    assert told["REDIS"] == told["CACHE_URL"]
    assert isinstance(told["REDIS"], Secret)


def test_a_name_that_nothing_has_is_refused(directory: Path) -> None:
    added(directory, 'blog["environment"] = {"DB": "${DATABSE_URL}"}')
    with pytest.raises(SettingsError, match=r"\['environment'\]\['DB'\].*did you mean \$\{DATABASE_URL\}"):
        load(directory)


@pytest.mark.parametrize(
    ("line", "needed"),
    [
        ('blog.update(database=None, environment={"X": "${DATABASE_HOST}"})', "needs the site's 'database'"),
        ('blog["environment"] = {"X": "${BROKER_URL}"}', "needs the site's 'celery'"),
        ('blog["environment"] = {"X": "${}"}', "nothing is called"),
        ('blog["packages"] = ["libfoo; rm -rf /"]', r"SITES\['blog'\]\['packages'\]\[0\]"),
        ('blog["extras"] = ["a b"]', r"SITES\['blog'\]\['extras'\]\[0\]"),
        ('blog["build_commands"] = [" "]', "is empty"),
        ('blog["build_commands"] = ["manage.py compress"]', "is what follows `manage.py`"),
        ('blog["build_commands"] = ["say \'no"]', "is no command: No closing quotation"),
    ],
)
def test_what_can_not_be_meant_is_refused(directory: Path, line: str, needed: str) -> None:
    added(directory, line)
    with pytest.raises(SettingsError, match=needed):
        load(directory)


def test_packages_extras_and_commands_reach_the_server(directory: Path, deployment: Deployment) -> None:
    added(directory, 'blog.update(packages=["gettext"], extras=["postgres"], build_commands=["compress --on \'a b\'"])')
    told = site(directory, deployment)
    assert (told["packages"], told["extras"]) == (["gettext"], ["postgres"])
    assert told["build_commands"] == [["compress", "--on", "a b"]]
