"""All combinations of server types in several quantities: what holds for each of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from matrix_files import PROGRAMS, Files, distinct
from matrix_fleets import QUANTITIES, Kept, fleet, fleets, sets
from matrix_rules import PROPERTIES
from matrix_settings import matrix_settings

from deploymachine import runlist, servertypes
from deploymachine.cookbooks import OURS
from deploymachine.settings import Settings


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with matrix_settings(tmp_path_factory.mktemp("matrix")) as made:
        yield made


@pytest.fixture(scope="module")
def rendered(settings: Settings) -> list[tuple[str, Files]]:
    """Of each set in one quantity, with one, two and three of a type; tests of devcloud have programs try the same."""
    return distinct(settings, [(1, 2, 3)])


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


def test_every_program_has_configurations_and_none_has_a_hole(rendered: list[tuple[str, Files]]) -> None:
    counts = Counter(program for program, _ in rendered)
    assert set(counts) == {program.name for program in PROGRAMS}
    holes = [text for _, files in rendered for text in files.values() if re.search(r"None|Undefined|\{\{|\*{8}", text)]
    assert holes == []


def test_a_balancers_files_name_every_upstream_once(rendered: list[tuple[str, Files]]) -> None:
    for program, files in rendered:
        if program == "nginx":
            site = files["/etc/nginx/sites-available/site-blog.conf"]
            servers = re.findall(r"^\s*server (10\S+:8000) ", site, re.MULTILINE)
            assert len(set(servers)) == len(servers) > 0


def test_nftables_takes_every_firewall(rendered: list[tuple[str, Files]], tmp_path: Path) -> None:
    nft = shutil.which("nft", path="/usr/sbin:/usr/bin:/sbin")
    if nft is None:
        pytest.skip("nft is not installed")
    every = [text for program, files in rendered if program == "nft" for text in files.values()]
    path = tmp_path / "nftables.conf"
    for begin in range(0, len(every), 10):  # more do not fit into one message to the kernel
        path.write_text("".join(every[begin : begin + 10]))
        words = ["unshare", "--map-root-user", "--net", nft, "-c", "-f", path]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:2000]
