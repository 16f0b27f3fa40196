"""From settings.py to requests on the wire: one connection a server, the site's own values, one row in the report."""

import io

import pytest

from deploymachine import deploy as subject
from deploymachine import leading
from deploymachine.converge import Result
from deploymachine.errors import ConnectError, ReleaseError, SeveralErrors, UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.releases import crew
from deploymachine.report import LineReport
from deploymachine.secrets import Secrets
from deploymachine.servertypes import Deployment, tasknode
from deploymachine.settings import Settings
from deploymachine.settings_tasks import Celery

SERVERS = (Server("appnode1", "appnode", "10.0.0.1"), Server("appnode2", "appnode", "10.0.0.2"))


class Connection:
    def __init__(self, server):
        self.server = server
        self.closed = False

    def close(self):
        self.closed = True


@pytest.fixture
def deployment(tmp_path, repository):
    repository.commit("one")
    settings = Settings(
        directory=tmp_path,
        DEPLOYMENT="test",
        OPENSTACK_SERVERS={"appnode": (("appnode1", "small"), ("appnode2", "small"))},
        ADMIN_SSH_KEYS=("ssh-ed25519 AAAA",),
        SITES={
            "blog": {"repository": "origin", "wsgi": "app:application", "settings_module": "settings", "port": 8123}
        },
    )
    return Deployment(settings, Inventory(SERVERS), Secrets(tmp_path / "secrets.json"))


@pytest.fixture
def wire(monkeypatch):
    """Stands where SSH is: keeps connections and requests, answers as healthy servers would."""
    kept = {"connections": [], "requests": []}

    def connect(server, login, settings):
        kept["connections"].append(Connection(server))
        return kept["connections"][-1]

    def run(connection, request, show, *, sudo_password, attachment):
        kept["requests"].append((connection.server.name, request, attachment))
        show(connection.server, {"event": "run-begun", "count": 1})
        if (connection.server.name, request["action"]) in kept.get("cut", ()):
            raise ConnectError("cut", where=connection.server.where)
        return Result("ok", result={"changed": True} if request["action"] == "switch" else {})

    monkeypatch.setattr(crew.ssh, "connect", connect)
    monkeypatch.setattr(crew.converge, "run", run)
    return kept


def test_every_server_gets_one_connection_and_its_own_site(deployment, wire):
    stream = io.StringIO()
    with LineReport(stream) as report:
        released = subject.deploy(SERVERS, deployment, report)
    assert [one.site for one in released] == ["blog"]
    assert [connection.closed for connection in wire["connections"]] == [True, True]
    builds = {name: request for name, request, _ in wire["requests"] if request["action"] == "build"}
    assert builds["appnode2"]["site"]["bind"] == "10.0.0.2:8123"
    assert builds["appnode1"]["release"] == builds["appnode2"]["release"]
    assert builds["appnode1"]["source"]["kind"] == "bundle"
    assert all(attachment for _, request, attachment in wire["requests"] if request["action"] == "build")
    assert "@" in builds["appnode1"]["by"]
    assert "environment" not in builds["appnode1"]["site"]
    assert released[0].release in stream.getvalue()


def test_another_branch_can_be_asked_for_and_an_unknown_one_reaches_no_server(deployment, wire, repository):
    repository.git("branch", "next")
    with LineReport(io.StringIO()) as report:
        assert subject.deploy(SERVERS, deployment, report, ref="next")
        asked = len(wire["requests"])
        with pytest.raises(ReleaseError, match="'nxt'; did you mean 'next'"):
            subject.deploy(SERVERS, deployment, report, ref="nxt")
        with pytest.raises(UsageError, match="no site 'blgo'"):
            subject.deploy(SERVERS, deployment, report, sites=["blgo"])
    assert len(wire["requests"]) == asked


def test_a_cut_connection_is_given_up_and_the_rows_say_failed(deployment, wire):
    wire["cut"] = {("appnode1", "begin"), ("appnode2", "begin")}
    with LineReport(io.StringIO()) as report, pytest.raises(SeveralErrors):
        subject.deploy(SERVERS, deployment, report)
    assert all(connection.closed for connection in wire["connections"])
    assert {row.state for row in report.rows.values()} == {"failed"}


TASKNODE = Server("tasknode1", "tasknode", "10.0.0.3")
LIVE = {"name": "20260101T000000Z-abc", "sha": "", "fingerprint": ""}


@pytest.fixture
def with_tasks(deployment):
    """The deployment with a tasknode, and Celery for its site."""
    site = deployment.settings.SITES["blog"].model_copy(update={"celery": Celery(app="blog", beat=True)})
    settings = deployment.settings.model_copy(update={"SITES": {"blog": site}})
    return Deployment(settings, Inventory([*SERVERS, TASKNODE]), deployment.secrets)


@pytest.fixture
def serving(monkeypatch):
    """serving(current) has the appnodes serve that release; what they were asked is kept."""
    asked = []

    def answers(current):
        def ask(connection, request, password):
            asked.append((connection.server.name, request["action"]))
            return {"current": current}

        monkeypatch.setattr(leading, "ask", ask)
        return asked

    return answers


class OpenConnection(Connection):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def open_wire(wire, monkeypatch):
    monkeypatch.setattr(crew.ssh, "connect", lambda server, login, settings: OpenConnection(server))
    return wire


def test_tasknodes_bring_what_the_appnodes_serve_and_do_not_migrate(with_tasks, open_wire, serving, repository):
    first = repository.git("rev-parse", "HEAD")
    repository.commit("two")
    mark = subject.fingerprint(tasknode.release_attributes("blog", TASKNODE, with_tasks))
    asked = serving({**LIVE, "sha": first, "fingerprint": mark})
    with LineReport(io.StringIO()) as report:
        (released,) = subject.deploy([TASKNODE], with_tasks, report)
    assert asked == [("appnode1", "state")]
    told = {request["action"]: request for _, request, _ in open_wire["requests"]}
    assert told["build"]["release"]["sha"] == first
    assert "migrate" not in told
    assert [program["name"] for program in told["switch"]["site"]["programs"]] == ["celery-blog-celery", "beat-blog"]
    assert (told["switch"]["site"]["serves"], released.changed) == (False, True)


def test_where_no_appnode_serves_yet_tasknodes_take_the_branch_and_migrate(with_tasks, open_wire, serving, repository):
    sha = repository.commit("two")
    serving(None)
    with LineReport(io.StringIO()) as report:
        subject.deploy([TASKNODE], with_tasks, report)
    told = {request["action"]: request for _, request, _ in open_wire["requests"]}
    assert told["build"]["release"]["sha"] == sha
    assert "migrate" in told


def test_together_the_appnodes_go_first(with_tasks, open_wire, serving):
    asked = serving(None)
    early = Server("a-tasknode", "tasknode", "10.0.0.4")
    here = Deployment(with_tasks.settings, Inventory([*SERVERS, early]), with_tasks.secrets)
    with LineReport(io.StringIO()) as report:
        subject.deploy([early, *SERVERS], here, report)
    switched = [name for name, request, _ in open_wire["requests"] if request["action"] == "switch"]
    assert switched == ["appnode1", "appnode2", "a-tasknode"]
    assert asked == []


def test_an_appnode_that_joins_names_the_commit_as_the_others_do(
    deployment, open_wire, serving, monkeypatch, repository
):
    mark = subject.fingerprint(tasknode.release_attributes("blog", SERVERS[0], deployment))
    known = {"name": "20260101T000000Z-known", "sha": repository.git("rev-parse", "HEAD"), "fingerprint": mark}
    monkeypatch.setattr(leading, "state_of", lambda *_: {"current": known, "releases": [known]})
    with LineReport(io.StringIO()) as report:
        (released,) = subject.deploy(SERVERS[1:], deployment, report)
    assert released.release == known["name"]


def test_a_tasknode_has_nothing_of_a_site_without_tasks(deployment, open_wire, serving):
    serving(None)
    here = Deployment(deployment.settings, Inventory([*SERVERS, TASKNODE]), deployment.secrets)
    with LineReport(io.StringIO()) as report:
        assert subject.deploy([TASKNODE], here, report) == []
    assert open_wire["requests"] == []
