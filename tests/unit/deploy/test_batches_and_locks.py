"""Few servers before many, balancers told, a lock on all; whoever dies or fails in between, none is left half way."""

import os
import threading

import pytest

from deploymachine.deploy import release_site, roll_back_site
from deploymachine.errors import ConnectError, ReleaseError
from deploymachine.inventory import Server
from deploymachine.releases.balancers import Balancers
from deploymachine.releases.locks import is_gone
from deploymachine.releases.values import Options
from deploymachine.source import resolve
from tests.unit.deploy.test_deploy import Fleet
from tests.unit.release.site_world import Machine


@pytest.fixture
def machines(tmp_path):
    made = {name: Machine(tmp_path, name) for name in ("appnode1", "appnode2", "appnode3")}
    yield made
    for machine in made.values():
        machine.supervisor.close()


class Front(Fleet):
    """The fleet behind a balancer: what it was told stands among what was asked. One request at a time on a server."""

    def __init__(self, machines, repository, tmp_path):
        super().__init__(machines, repository, tmp_path)
        self.turns = {name: threading.Lock() for name in machines}

    def run(self, server, request, attachment=b""):
        with self.turns[server.name]:
            return super().run(server, request, attachment)

    def job(self, *names):
        from dataclasses import replace

        job = super().job(*names)
        return replace(job, servers=[replace(s, private_ip=s.name) for s in job.servers], balancers=self.front)

    def release(self, *names, ref="main", **options):
        where = {"directory": self.tmp_path, "state": self.tmp_path / "s"}
        source = resolve(str(self.repository.path), ref, site="blog", **where)
        self.asked = []
        self.front = Balancers("blog", 80, [Server("lb", "loadbalancer")], self.nodes(), self.told)
        return release_site(self.job(*names), source, options=Options(**options))

    def nodes(self):
        return [Server(name, "appnode", private_ip=name) for name in self.machines]

    def told(self, server, request):
        self.asked.append((server.name, tuple(one.partition(":")[0] for one in request["down"])))
        if "lb" in self.cut:
            raise ConnectError("lb does not answer")
        return {}

    def switches(self):
        return [asked for asked in self.asked if asked[0] == "lb" or asked[1] in ("switch", "rollback")]


@pytest.fixture
def fleet(machines, repository, tmp_path):
    return Front(machines, repository, tmp_path)


def locks(fleet):
    return [name for name, machine in fleet.machines.items() if (machine.root / "deploy.lock").exists()]


def test_a_first_release_needs_no_balancer_and_a_second_one_goes_round(fleet):
    fleet.repository.commit("one")
    fleet.release()
    assert ("lb", ("appnode1",)) not in fleet.asked
    fleet.repository.commit("two")
    fleet.release(batches=(1, "100%"))
    front, *rest = fleet.switches()
    assert (front, rest[0]) == (("lb", ("appnode1",)), ("appnode1", "switch"))
    assert rest[1] == ("lb", ("appnode2", "appnode3"))
    assert sorted(rest[2:4]) == [("appnode2", "switch"), ("appnode3", "switch")]
    assert rest[4:] == [("lb", ())]
    assert fleet.words() == ["two"] * 3
    assert locks(fleet) == []


def test_the_canary_that_fails_costs_nobody_else_anything(fleet):
    fleet.repository.commit("one")
    live = fleet.release().release
    fleet.repository.commit("bad", status=500)
    with pytest.raises(ReleaseError) as caught:
        fleet.release()
    assert fleet.switches() == [("lb", ("appnode1",)), ("appnode1", "switch"), ("lb", ())]
    assert f"appnode1: went back to {live}" in str(caught.value)
    assert fleet.words() == ["one"] * 3
    assert locks(fleet) == []


def test_a_server_that_dies_between_batches_brings_all_back(fleet):
    fleet.repository.commit("one")
    live = fleet.release().release
    fleet.repository.commit("two")
    fleet.cut = {("appnode3", action) for action in ("switch", "rollback", "end")}
    with pytest.raises(ReleaseError) as caught:
        fleet.release()
    told = str(caught.value)
    assert "appnode3 does not serve" in told
    assert f"appnode1: put back to {live}" in told
    assert f"appnode2: put back to {live}" in told
    assert "appnode3: could NOT be put back" in told
    assert fleet.words() == ["one"] * 3
    assert locks(fleet) == ["appnode3"]
    assert fleet.asked[-1] != ("lb", ("appnode3",))
    entries = fleet.machines["appnode1"].ask("audit")[1]["entries"]
    assert [(one["action"], one["state"]) for one in entries[-2:]] == [("deploy", "ok"), ("put back", "ok")]


@pytest.mark.parametrize("phase", ["build", "migrate", "end"])
def test_a_connection_that_is_cut_in_any_phase_leaves_what_a_rerun_ends(fleet, phase):
    fleet.repository.commit("one")
    fleet.release()
    fleet.repository.commit("two", files={"migrations/0001": ""})
    fleet.cut = {("appnode1", phase), ("appnode1", "end")}
    if phase == "end":
        fleet.release()
        assert fleet.words() == ["two"] * 3
    else:
        with pytest.raises(ReleaseError, match="was not released"):
            fleet.release()
        assert fleet.words() == ["one"] * 3
    assert locks(fleet) == ["appnode1"]
    fleet.cut = set()
    os.utime(fleet.machines["appnode1"].root / "deploy.lock", (0, 0))
    fleet.release()
    assert fleet.words() == ["two"] * 3
    assert fleet.commands().count("migrate") == 1
    assert locks(fleet) == []


def test_where_it_is_told_so_the_others_go_on_without_a_server_that_died(fleet, monkeypatch):
    fleet.repository.commit("one")
    fleet.release()
    fleet.repository.commit("two")
    fleet.cut = {("appnode2", action) for action in ("switch", "rollback", "end")}
    with pytest.raises(ReleaseError, match="is released, but not everywhere") as caught:
        fleet.release(go_on=True)
    assert "appnode2 was cut" in str(caught.value)
    assert fleet.words() == ["two", "one", "two"]
    fleet.cut = set()
    monkeypatch.setattr("release.lock.ALIVE", 0.1)  # its lock is that of a dead owner
    assert fleet.release(wait=90).changed
    assert fleet.words() == ["two"] * 3


def test_a_balancer_that_cannot_be_told_stops_no_release(fleet):
    fleet.repository.commit("one")
    fleet.release()
    fleet.repository.commit("two")
    fleet.cut = {"lb"}
    released = fleet.release()
    assert "lb went on sending visitors" in released.note
    assert fleet.words() == ["two"] * 3


def test_two_deploys_at_once_one_goes_through_the_other_waits_or_is_told(fleet):
    fleet.repository.commit("one")
    fleet.release()
    fleet.repository.commit("two")
    held, go_on = threading.Event(), threading.Event()

    def hook(when, *_):
        if when == "before_deploy":
            held.set()
            assert go_on.wait(30)

    thread = threading.Thread(target=fleet.release, kwargs={"hook": hook})
    thread.start()
    assert held.wait(30)
    try:
        with pytest.raises(ReleaseError, match="Two releases at once") as caught:
            roll_back_site(fleet.job(), None)
        assert "has been at a deploy of blog since" in caught.value.why
    finally:
        go_on.set()
    roll_back_site(fleet.job(), None, Options(wait=60))
    thread.join()
    assert fleet.words() == ["one"] * 3
    assert locks(fleet) == []


def test_who_gets_the_first_server_gets_them_all(fleet, monkeypatch):
    fleet.repository.commit("one")
    fleet.release()
    lock = {"id": "x", "owner": "bob@desk", "kind": "deploy"}
    other = fleet.machines["appnode2"]
    assert other.ask("begin", lock=lock)[0] == 0
    answer, refused = fleet.run, []

    def run(server, request, attachment=b""):
        result = answer(server, request, attachment)
        if result.error is not None:
            refused.append((server.name, request["action"]))
            other.ask("end", lock_id="x")
        return result

    monkeypatch.setattr(fleet, "run", run)
    monkeypatch.setattr("deploymachine.releases.locks.LOOK_AGAIN", 0)
    assert fleet.release().changed is False
    assert refused == [("appnode2", "begin")]
    assert locks(fleet) == []


def test_a_hook_that_fails_before_changes_nothing_and_is_in_the_log(fleet):
    fleet.repository.commit("one")
    fleet.release()
    fleet.repository.commit("two")

    def hook(when, *_):
        raise ReleaseError(f"{when} says no")

    with pytest.raises(ReleaseError, match="before_deploy says no"):
        fleet.release(hook=hook, message="a try")
    assert [action for _, action in fleet.asked if action == "build"] == []
    entries = fleet.machines["appnode2"].ask("audit")[1]["entries"]
    assert (entries[-1]["state"], entries[-1]["why"], entries[-1]["message"]) == (
        "failed",
        "before_deploy says no",
        "a try",
    )


def test_who_comes_after_a_run_that_died_ends_what_it_began(fleet):
    fleet.repository.commit("one")
    released = fleet.release()
    machine = fleet.machines["appnode2"]
    lock = {"id": "x", "owner": "bob@desk", "kind": "deploy"}
    assert machine.ask("begin", lock=lock)[0] == 0
    (machine.root / ".switching").write_text(released.release)
    (machine.root / "history").write_text("")
    os.utime(machine.root / "deploy.lock", (0, 0))
    again = fleet.release()
    assert "bob@desk, who is gone" in again.note
    assert fleet.switches() == [("lb", ()), ("lb", ("appnode2",)), ("appnode2", "switch"), ("lb", ())]
    assert not (machine.root / ".switching").exists()
    assert (machine.root / "history").read_text().split() == [released.release]


def test_a_process_of_ours_that_ended_is_known_to_be_gone():
    mine = {"owner": "ada@laptop", "kind": "deploy", "pid": os.getpid()}
    assert not is_gone(mine, "ada@laptop")
    assert is_gone({**mine, "pid": 2**22 + 1}, "ada@laptop")
    assert not is_gone({**mine, "pid": 2**22 + 1}, "bob@desk")
    assert not is_gone({**mine, "pid": 2**22 + 1, "kind": "manual"}, "ada@laptop")
