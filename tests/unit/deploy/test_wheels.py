"""What one server has compiled the others of the fleet find, and those that come later."""

import io
import tarfile

from deploymachine.deploy import release_site
from tests.unit.deploy.test_deploy import Fleet

WHEEL = "c-1-py3-none-any.whl"


def released(fleet, tmp_path, *names):
    from dataclasses import replace

    from deploymachine.source import resolve

    source = resolve(str(fleet.repository.path), "main", site="blog", directory=tmp_path, state=tmp_path / "s")
    return release_site(replace(fleet.job(*names), wheels=tmp_path / "state" / "wheels" / "blog"), source)


def compiled(machine):
    return [line for line in machine.uv_log.read_text().split() if line in ("compiled", "found")]


def test_a_server_that_comes_later_finds_what_the_first_has_compiled(machines, repository, tmp_path):
    fleet = Fleet(machines, repository, tmp_path)
    repository.commit("one", requirements="compiled\n")
    released(fleet, tmp_path, "appnode1")
    assert (tmp_path / "state" / "wheels" / "blog" / WHEEL).read_text() == "a wheel"
    released(fleet, tmp_path)
    assert [compiled(machine) for machine in machines.values()] == [["compiled"], ["found"]]
    assert fleet.words() == ["one", "one"]
    assert machines["appnode2"].ask("state")[1]["wheels"] == [WHEEL]


def test_a_release_of_code_alone_brings_no_wheels(machines, repository, tmp_path):
    fleet = Fleet(machines, repository, tmp_path)
    repository.commit("one", requirements="compiled\n")
    released(fleet, tmp_path, "appnode1")
    repository.commit("two", requirements="compiled\n")
    fleet.asked = []
    released(fleet, tmp_path, "appnode1")
    assert {"wheel", "add_wheels"} & {action for _, action in fleet.asked} == set()


def test_what_is_no_wheel_is_not_taken_in(machines):
    machine = machines["appnode1"]
    for name in ("../../evil.whl", "evil.txt", "a/b.whl"):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
        assert machine.ask("add_wheels", stream.getvalue())[0] == 1
        assert machine.failure["what"] == "What was sent are no wheels"
    assert machine.ask("state")[1]["wheels"] == []
    assert machine.ask("wheel", wheel="../shared/env")[0] == 1
