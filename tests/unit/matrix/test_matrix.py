"""All combinations of server types in several quantities: what holds for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from matrix_fleets import QUANTITIES, Kept, fleet, fleets, sets
from matrix_rules import PROPERTIES

from deploymachine import authority, certificates, runlist, servertypes
from deploymachine.cookbooks import OURS
from deploymachine.settings import Settings, load

REPOSITORY = Path(__file__).parents[3]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMM6WRl5ANn/AlL6Gj779gjxuGed9gZMmcVOW4oIlDmD ada"
SETTINGS = f"""
DEPLOYMENT = "mysite"
OPENSTACK_SERVERS = {{"dbappbalancer": [("dbappbalancer1", "m1.small")]}}
ADMIN_SSH_KEYS = ["{KEY}"]
SITES = {{
    name: {{"repository": name, "wsgi": name + ".wsgi:application", "settings_module": name + ".settings",
            "database": name, "port": port, "domains": [name + ".example"], "celery": celery}}
    for name, port, celery in (("blog", 8000, {{"app": "blog", "beat": True}}), ("shop", 8001, None))
}}
DATABASES = {{"blog": {{"owner": "blog"}}, "shop": {{"owner": "shop"}}}}
CRON = [{{"site": "blog", "schedule": "@daily", "command": "clearsessions"}}]
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """What certificates say is tested elsewhere: here each is made once."""
    directory = tmp_path_factory.mktemp("matrix")
    (directory / "settings.py").write_text(SETTINGS)
    (directory / "kokki-config.yaml").write_text((REPOSITORY / "kokki-config.yaml.dist").read_text())
    pair = cache(lambda name: {"certificate": f"certificate of {name}", "key": f"key of {name}"})
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DEPLOYMACHINE_SETTINGS", raising=False)
        patch.setattr(certificates, "of", lambda name, _deployment: pair(name))
        patch.setattr(authority, "certificate", lambda _deployment: "authority")
        patch.setattr(
            authority, "server_certificate", lambda server, _deployment: {"authority": "authority", **pair(server.name)}
        )
        yield load(directory)


@pytest.fixture(scope="module")
def wrong(settings: Settings) -> dict[str, list[str]]:
    """Property -> the fleets where it does not hold, and why."""
    found: dict[str, list[str]] = {holds.__name__: [] for holds in PROPERTIES}
    for one in fleets(settings, Kept()):
        for holds in PROPERTIES:
            found[holds.__name__] += [f"{one}: {why}" for why in holds(one)]
    return found


def test_every_set_that_can_serve_is_there(settings: Settings) -> None:
    found = sets(settings)
    kinds = servertypes.names()
    assert len(found) == len(set(found)) > 300
    assert ("dbappbalancer",) in found
    assert ("appnode", "dbserver", "loadbalancer") in found
    assert ("appbalancer", "dbserver") in found
    assert kinds in found
    assert ("appnode", "dbserver") not in found
    assert {quantity for several in QUANTITIES for quantity in several} == {1, 2, 3}


@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda holds: holds.__name__)
def test_it_holds_for_all(holds, wrong: dict[str, list[str]]) -> None:
    assert wrong[holds.__name__][:10] == []


def test_every_type_cooks_recipes_that_are_there_each_once(settings: Settings) -> None:
    everything = fleet(dict.fromkeys(servertypes.names(), 1), settings, Kept())
    for name, wanted in runlist.run_lists(everything.servers, everything.deployment).items():
        pages = [recipe.partition(".") for recipe in wanted.recipes]
        assert len(set(wanted.recipes)) == len(wanted.recipes)
        assert [
            book for book, _, page in pages if not (OURS / book / "recipes" / f"{page or 'default'}.py").is_file()
        ] == []
        assert wanted.recipes[0] == "base", name
