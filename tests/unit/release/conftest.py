import pytest

from tests.unit.release.site_world import Machine, Repository


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    machine.supervisor.close()


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "origin")
