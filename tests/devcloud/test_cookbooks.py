"""Every cookbook that we ship, on a machine of its own: applied twice, then dry; and what is said of a bad one."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from deploymachine import cookbooks
from deploymachine.cloud import connect
from deploymachine.cookbook_test import check, make_settings
from deploymachine.errors import ConvergeError
from deploymachine.report import LineReport

# What the SDK deprecates within itself.
SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.devcloud, *(pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS)]
OURS = sorted(cookbooks.found(()))


@pytest.fixture
def place(devcloud, tmp_path: Path):
    """A directory whose clouds.yaml names the tests' devcloud; afterwards no machine of the test is left in it."""
    shutil.copy(devcloud.directory / "clouds.yaml", tmp_path)
    before = names(tmp_path)
    yield tmp_path
    assert names(tmp_path) == before


def names(place: Path) -> list[str]:
    cloud = connect(make_settings(place))
    try:
        return sorted(server.id for server in cloud.connection.compute.servers())
    finally:
        cloud.close()


@pytest.mark.parametrize("name", OURS)
def test_on_debian_13(place, name):
    outcome = check(cookbooks.cookbook(name, ()), (), place, LineReport(io.StringIO()))
    assert (outcome.image, outcome.count > 0, len(outcome.changes) > 0) == ("debian-13", True, True)


@pytest.mark.parametrize("name", ["base", "logs", "pgbouncer"])
def test_on_debian_12(place, name):
    outcome = check(cookbooks.cookbook(name, ()), (), place, LineReport(io.StringIO()), "debian-12")
    assert outcome.image == "debian-12"


@pytest.fixture
def book(tmp_path: Path):
    def write(recipe: str) -> Path:
        folder = tmp_path / "team" / "shop"
        (folder / "recipes").mkdir(parents=True)
        (folder / "metadata.py").write_text("")
        (folder / "recipes/default.py").write_text(f"from kokki import *\n{recipe}\n")
        return folder

    return write


@pytest.mark.parametrize(
    ("recipe", "what", "evidence"),
    [
        ('Execute("date > /tmp/x")', "changes something each time", "Execute[date > /tmp/x] run: executed"),
        (
            'import os\nFile("/tmp/y", content=str(int(os.path.exists("/tmp/y"))))',
            "changes something each time",
            "File[/tmp/y] create: content",
        ),
        ('Execute("false")', "Execute[false] failed", "$ false"),
        ("Fiel('/x')", "NameError: name 'Fiel' is not defined", "Fiel('/x')"),
    ],
)
def test_one_that_is_not_right(place, book, recipe, what, evidence):
    folder = book(recipe)
    with pytest.raises(ConvergeError) as error:
        check(folder, (folder.parent,), place, LineReport(io.StringIO()))
    assert what in error.value.what
    assert any(line.startswith(evidence) for line in error.value.evidence), error.value.evidence
