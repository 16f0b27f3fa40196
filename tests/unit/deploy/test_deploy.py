"""A commit on its way to two servers, each with real processes: all of them serve it, or all serve what they did."""

import json
import shutil
from datetime import datetime, timezone

import pytest

from deploymachine.converge import Result
from deploymachine.deploy import release_site, roll_back_site
from deploymachine.errors import ConnectError, ConvergeError, ReleaseError
from deploymachine.inventory import Server
from deploymachine.releases.job import Job
from deploymachine.source import resolve


class Fleet:
    """Answers requests as the servers would over SSH, and keeps what was asked."""

    def __init__(self, machines, repository, tmp_path):
        self.machines = machines
        self.repository = repository
        self.tmp_path = tmp_path
        self.asked = []
        self.sent = []
        self.changes = 0
        self.cut = set()
        self.day = 2

    def run(self, server, request, attachment=b""):
        if (server.name, request["action"]) in self.cut:
            raise ConnectError(f"The connection to {server.name} was cut", where=server.where)
        self.asked.append((server.name, request["action"]))
        if attachment:
            self.sent.append((server.name, len(attachment)))
        machine = self.machines[server.name]
        more = {key: value for key, value in request.items() if key not in {"command", "action", "site"}}
        code, result = machine.ask(request["action"], attachment, **json.loads(json.dumps(more)))
        self.changes += machine.changes
        if code == 0:
            return Result("ok", result=result)
        told = machine.failure
        error = ConvergeError(
            f"{server.name}: {told['what']}", where=server.where, why=told["why"], evidence=told["output"]
        )
        return Result("failed", result=result, error=error)

    def job(self, *names):
        servers = [Server(name, "appnode", "127.0.0.1") for name in names or self.machines]
        when = datetime(2026, 1, self.day, 3, 4, 5, tzinfo=timezone.utc)
        return Job("blog", servers, self.site, self.run, now=lambda: when)

    def site(self, server):
        return {**self.machines[server.name].site, "health_timeout": 3, "environment": {"TOKEN": "s3cret"}}

    def release(self, *names, ref="main"):
        source = resolve(
            str(self.repository.path), ref, site="blog", directory=self.tmp_path, state=self.tmp_path / "s"
        )
        self.asked, self.sent, self.changes = [], [], 0
        return release_site(self.job(*names), source)

    def words(self):
        return [machine.word() for machine in self.machines.values()]

    def commands(self):
        """What manage.py was told, on all servers."""
        return next(iter(self.machines.values())).database.with_name("database.commands").read_text().split()


@pytest.fixture
def fleet(machines, repository, tmp_path):
    for machine in machines.values():
        machine.site["health_timeout"] = 3
    return Fleet(machines, repository, tmp_path)


def test_all_servers_serve_one_release_and_the_migration_ran_once(fleet):
    sha = fleet.repository.commit("one", files={"migrations/0001": ""})
    released = fleet.release()
    assert released.changed
    assert released.release == f"20260102T030405Z-{sha[:8]}"
    assert released.migrations == ("site.0001",)
    assert fleet.words() == ["one", "one"]
    assert fleet.commands().count("migrate") == 1
    assert fleet.asked.index(("appnode1", "migrate")) > fleet.asked.index(("appnode2", "build"))
    assert [machine.releases() for machine in fleet.machines.values()] == [[released.release]] * 2


def test_the_same_commit_again_changes_nothing(fleet):
    fleet.repository.commit("one")
    first = fleet.release()
    again = fleet.release()
    assert (again.changed, again.release, fleet.changes) == (False, first.release, 0)
    assert {action for _, action in fleet.asked} == {"begin", "end"}


def test_only_what_is_new_travels(fleet):
    fleet.repository.commit("one", files={"big": "".join(map(str, range(20_000)))})
    fleet.release()
    whole = dict(fleet.sent)
    fleet.repository.commit("two")
    fleet.release()
    assert all(0 < size < whole[name] / 4 for name, size in fleet.sent)


def test_a_server_that_joins_gets_the_release_the_others_serve(fleet):
    fleet.repository.commit("one")
    first = fleet.release("appnode1")
    both = fleet.release()
    assert both.release == first.release
    assert fleet.words() == ["one", "one"]
    assert [machine.releases() for machine in fleet.machines.values()] == [[first.release]] * 2


def test_other_settings_build_the_same_commit_again(fleet):
    fleet.repository.commit("one", files={"other.txt": "x\n"})
    first = fleet.release()
    for machine in fleet.machines.values():
        machine.site["requirements"] = "other.txt"
    fleet.day = 3
    second = fleet.release()
    assert second.changed
    assert second.release != first.release
    assert fleet.machines["appnode1"].uv_log.read_text().count("other.txt") == 1


def test_a_failing_migration_leaves_the_old_release_on_every_server(fleet):
    fleet.repository.commit("one")
    fleet.release()
    fleet.repository.commit("two", files={"migrations/0001": "fail"})
    with pytest.raises(ReleaseError) as caught:
        fleet.release()
    assert "its migrations fail" in caught.value.what
    assert "does not exist" in caught.value.why
    assert fleet.words() == ["one", "one"]
    assert not [asked for asked in fleet.asked if asked[1] == "switch"]


def test_a_build_that_fails_is_told_for_every_server(fleet):
    fleet.repository.commit("one")
    fleet.release()
    fleet.repository.commit("two", requirements="no-such-package\n")
    with pytest.raises(ReleaseError) as caught:
        fleet.release()
    assert "can't be built" in caught.value.what
    assert "appnode1" in str(caught.value)
    assert "appnode2" in str(caught.value)
    assert "no-such-package" in str(caught.value)
    assert fleet.words() == ["one", "one"]
    assert not [asked for asked in fleet.asked if asked[1] in {"migrate", "switch"}]


def test_when_the_second_server_fails_the_first_goes_back(fleet):
    fleet.repository.commit("one")
    live = fleet.release().release
    port = fleet.machines["appnode1"].port
    # Healthy on the first server, not on the second: what tells them apart is their address.
    picky = "import os\nSTATUS_HERE = 200 if os.environ.get('ROLE') == 'good' else 500\n"
    app = (fleet.repository.path / "app.py").read_text().replace("'one'", "'two'")
    app = picky + app.replace("STATUS if good", "STATUS_HERE if good")
    machine = fleet.machines["appnode1"]
    start = machine.supervisor.programs["site-blog"]
    machine.supervisor.programs["site-blog"] = lambda: ["env", "ROLE=good", *start()]
    machine.supervisor.stop("site-blog")
    machine.supervisor.dispatch("supervisor.startProcess", ("site-blog", False))
    fleet.repository.commit("two", files={"app.py": app, "migrations/0001": ""})
    with pytest.raises(ReleaseError) as caught:
        fleet.release()
    told = str(caught.value)
    assert "appnode2 does not serve" in told
    assert "answers 500" in told
    assert f"appnode1: put back to {live}" in told
    assert "the migrations stay applied: site.0001" in told
    assert "whether the old code can live with them" in told
    assert fleet.words() == ["one", "one"]
    assert port == machine.port


def test_a_cut_connection_puts_the_others_back_and_a_rerun_goes_through(fleet):
    fleet.repository.commit("one")
    fleet.release()
    fleet.repository.commit("two")
    fleet.cut = {("appnode2", "switch")}
    with pytest.raises(ReleaseError, match="appnode2 does not serve"):
        fleet.release()
    assert fleet.words() == ["one", "one"]
    fleet.cut = set()
    assert fleet.release().changed
    assert fleet.words() == ["two", "two"]


def test_a_server_that_is_away_stops_everything_before_it_begins(fleet):
    fleet.repository.commit("one")
    fleet.cut = {("appnode2", "begin")}
    with pytest.raises(ConnectError):
        fleet.release()
    assert sorted(fleet.asked) == [("appnode1", "begin"), ("appnode1", "end")]
    assert not (fleet.machines["appnode1"].root / "deploy.lock").exists()


def test_rollback_brings_every_server_back(fleet):
    fleet.repository.commit("one")
    first = fleet.release().release
    fleet.repository.commit("two")
    fleet.release()
    rolled = roll_back_site(fleet.job(), None)
    assert (rolled.release, rolled.changed) == (first, True)
    assert fleet.words() == ["one", "one"]
    with pytest.raises(ReleaseError, match="that all servers served before"):
        roll_back_site(fleet.job(), None)


def test_rollback_to_what_one_server_lacks_moves_none(fleet):
    fleet.repository.commit("one")
    first = fleet.release().release
    fleet.repository.commit("two")
    fleet.release()
    shutil.rmtree(fleet.machines["appnode2"].root / "releases" / first)
    with pytest.raises(ReleaseError, match="appnode2 has no release"):
        roll_back_site(fleet.job(), first)
    assert fleet.words() == ["two", "two"]


def test_no_secret_of_the_site_travels_with_a_request(fleet):
    request = fleet.job().request(Server("appnode1", "appnode"), "state")
    assert "s3cret" not in json.dumps(request)
