import pytest

from tests.unit.release.site_world import Machine, Repository


@pytest.fixture
def machines(tmp_path):
    """Two servers that share a database."""
    made = {name: Machine(tmp_path, name) for name in ("appnode1", "appnode2")}
    yield made
    for machine in made.values():
        machine.supervisor.close()


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "origin")
