import io
import sys
from dataclasses import replace

import pytest
from invoke.context import Context

from deploymachine import bake, drain, servertypes
from deploymachine.cloud.owned import Belongings, Thing
from deploymachine.cloud.specs import BootSpec
from deploymachine.drain import Leaving, parsed
from deploymachine.errors import ConnectError, UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.report import LineReport
from deploymachine.scale_down import asks_twice, chosen, telling
from deploymachine.secrets import Secrets
from deploymachine.servertypes import Deployment, _database
from deploymachine.ssh import Completed
from deploymachine.tasks import _names, _prompt
from tests.unit.cloud.fake_openstack import make_settings

SITE = {"repository": ".", "wsgi": "a:b", "settings_module": "a"}
LOOKED = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0A00570A:A1B2 0B00570A:1F40 01 00000000:00000000 00:00000000 00000000    33        0 2
   2: 0A00570A:A1B4 0C00570A:1F40 06 00000000:00000000 00:00000000 00000000    33        0 3
   3: 0000000000000000FFFF00000A00570A:A1B6 0000000000000000FFFF00000D00570A:1F41 02 0 0 0 0 0 4
   4: B80D01200000000000000000010000:0000 B80D0120000000000000000001000000:1F40 01 0 0 0 0 0 5
/proc/101/cmdline:nginx: worker process\0\0\0
/proc/102/cmdline:nginx: worker process is shutting down\0
/proc/103/cmdline:nginx: worker process\0
"""


@pytest.fixture
def deployment(tmp_path, openstack, monkeypatch):
    monkeypatch.undo()  # of the server types that other tests of the cloud make do with
    assert "dbappbalancer" in servertypes.names()
    settings = make_settings(
        tmp_path,
        openstack,
        SITES={"one": {**SITE, "port": 8000}, "two": {**SITE, "port": 8001, "domains": ["two.example"]}},
    )
    servers = [
        Server("appnode1", "appnode", "10.87.0.11", id="1"),
        Server("appnode2", "appnode", "10.87.0.12", "203.0.113.5", id="2", flavor="m1.small"),
        Server("dbserver1", "dbserver", "10.87.0.13", id="3"),
        Server("loadbalancer1", "loadbalancer", "10.87.0.10", id="4"),
        Server("old1", "appbalancer", "10.87.0.99"),
    ]
    return Deployment(settings, Inventory(servers), Secrets(tmp_path / "secrets.json"))


def test_a_look_at_a_balancer():
    seen = parsed(LOOKED)
    assert seen.workers == {"101", "103"}
    open_ones = {("10.87.0.11", 8000), ("10.87.0.13", 8001), ("2001:db8::1", 8000)}
    assert seen.connections == open_ones  # nor what listens (0A), nor what is over (TIME_WAIT, 06)


def test_only_appnodes_are_drained_each_site_of_them(deployment):
    find = deployment.inventory.named
    leaving = Leaving([find("appnode2"), find("dbserver1")], deployment, LineReport(io.StringIO()))
    assert leaving.endpoints == {("10.87.0.12", 8000), ("10.87.0.12", 8001)}
    assert [server.name for server in leaving.after.inventory] == ["appnode1", "loadbalancer1", "old1"]


def test_what_is_told_before_the_question(deployment):
    goes = (Thing("address", "a", "203.0.113.5"), Thing("volume", "v", "appnode2-data1", "10 GB"))
    belongings = {"appnode2": Belongings(goes, (Thing("volume", "w", "archive", "50 GB"),))}
    servers = chosen(["appnode2"], deployment.inventory, belongings)
    assert telling(servers, belongings, deployment) == [
        "appnode2 (appnode, ACTIVE, 10.87.0.12, 203.0.113.5, m1.small): the server, its disk and everything on it",
        "  goes too: address 203.0.113.5",
        "  goes too: volume appnode2-data1 (10 GB)",
        "  stays: volume archive (50 GB)",
        "first of all drained: loadbalancer1, old1 send visitors elsewhere",
        "told to forget: appnode1, dbserver1, loadbalancer1, old1",
    ]


def test_leftovers_of_a_server_that_is_gone(deployment):
    servers = chosen(["appnode9"], deployment.inventory, {"appnode9": Belongings()})
    assert telling(servers, {"appnode9": Belongings()}, deployment)[0] == "appnode9: gone already, its leftovers"
    assert asks_twice(servers, deployment) == {}


@pytest.mark.parametrize(
    ("names", "twice"),
    [
        (["appnode2"], {}),
        (["appnode1", "appnode2"], {"appnode1": "the last appnode", "appnode2": "the last appnode"}),
        (["dbserver1"], {"dbserver1": "its databases go"}),
        (["loadbalancer1", "appnode1"], {"loadbalancer1": "the last loadbalancer"}),
    ],
)
def test_what_is_asked_twice(deployment, names, twice):
    found = asks_twice([deployment.inventory.named(name) for name in names], deployment)
    assert found.keys() == twice.keys()
    assert all(words in found[name] for name, words in twice.items())


class Balancer:
    """Looked at again and again: each time it shows the next of `looks`, at the end the last one for ever."""

    def __init__(self, *looks):
        self.looks = list(looks)

    def run(self, _command):
        shown = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return Completed(0, shown, "")


BUSY = "   1: 0A00570A:A1B2 0C00570A:1F40 01 0 0 0 0 0 2\n"
OLD, NEW = ("/proc/7/cmdline:nginx: worker process\0\n", "/proc/9/cmdline:nginx: worker process\0\n")
LEAVING_OLD = "/proc/7/cmdline:nginx: worker process is shutting down\0\n"


def test_a_balancer_has_let_go_when_old_workers_take_nothing_and_no_connection_is_open(deployment, monkeypatch):
    monkeypatch.setattr(drain, "POLL", 0)
    leaving = Leaving([deployment.inventory.named("appnode2")], deployment, LineReport(io.StringIO()))
    # An old worker that has not heard of the reload yet has no connection at this moment, but may take a request.
    balancer = Balancer(OLD + NEW, OLD + NEW + BUSY, LEAVING_OLD + NEW + BUSY, LEAVING_OLD + NEW, "never looked at")
    assert drain._until_let_go(leaving, balancer, frozenset({"7"})) == ""
    assert balancer.looks == ["never looked at"]


def test_what_does_not_end_in_time_is_told(deployment, monkeypatch):
    monkeypatch.setattr(drain, "POLL", 0)
    leaving = Leaving([deployment.inventory.named("appnode2")], deployment, LineReport(io.StringIO()), seconds=0.05)
    note = drain._until_let_go(leaving, Balancer(NEW + BUSY), frozenset({"7"}))
    assert note == "requests to appnode2 did not end within 0 s; they end with the server"
    assert "an old worker of nginx" in drain._until_let_go(leaving, Balancer(OLD), frozenset({"7"}))


def test_a_balancer_that_does_not_answer_stops_it_unless_forced(deployment, monkeypatch):
    monkeypatch.setattr("deploymachine.cloud.banner.answering_port", lambda _address, _ports: None)
    victim = deployment.inventory.named("appnode2")
    deployment = replace(deployment, inventory=Inventory([victim, SILENT]))
    leaving = Leaving([victim], deployment, LineReport(io.StringIO()))
    with pytest.raises(ConnectError, match="loadbalancer9 does not answer, so it can't be told who goes") as caught:
        drain.drain(leaving)
    assert "--force" in caught.value.hint
    notes = drain.drain(replace(leaving, force=True))
    assert notes == ["loadbalancer9 does not answer: cook it when it is back"]
    off = replace(deployment, inventory=Inventory([victim, replace(SILENT, state="SHUTOFF")]))
    assert drain.drain(replace(leaving, deployment=off)) == ["loadbalancer9 is SHUTOFF: cook it when it is back"]


SILENT = Server("loadbalancer9", "loadbalancer", "127.0.0.1", id="9")


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("openstack_kill appnode2", ["appnode2"]),
        ("openstack_kill appnode2 appnode3 --yes", ["appnode2", "appnode3"]),
        ("openstack_kill appnode2,appnode3,appnode2", ["appnode2", "appnode3"]),
        ("openstack_kill appnode2 everything kokki", ["appnode2"]),
        ("everything kokki openstack_kill appnode2 appnode3", ["appnode2", "appnode3"]),
    ],
)
def test_a_task_takes_as_many_names_as_are_said(monkeypatch, line, names):
    seen = []

    @_names.named_task(help={"names": "of servers"})
    def openstack_kill(_, names, yes=False):
        seen.append(names)

    monkeypatch.setattr(sys, "argv", ["fab", *line.split()])
    _names.know_tasks(["everything", "kokki", "openstack_kill"])
    words = [argument.name for argument in openstack_kill.get_arguments() if argument.positional]
    count = len([word for word in line.split() if word.startswith("appnode")])
    assert len(words) == count
    given = line.split()[line.split().index("openstack_kill") + 1 :][:count]
    openstack_kill(Context(), **dict(zip(words, given, strict=True)), yes=True)
    assert seen == [names]


BAKED = {"appnode": ("id-of-baked", "baked-appnode"), "loadbalancer": (None, "stale-loadbalancer")}


def test_servers_boot_from_the_baked_image_of_their_type_unless_another_was_chosen(deployment, monkeypatch):
    monkeypatch.setattr(bake, "code_of", lambda kind, _settings: f"code of {kind}")
    asked = []

    class Cloud:
        def servers(self):
            return [Server("appnode6", "appnode", id="6")]

        def baked_image(self, kind, fingerprint):
            asked.append((kind, fingerprint()))
            return BAKED.get(kind, (None, None))

    specs = [
        BootSpec("appnode3", "appnode", "m1.small"),
        BootSpec("appnode4", "appnode", "m1.small", image="debian-12"),
        BootSpec("appnode5", "appnode", "m1.small", volume=20),
        BootSpec("appnode6", "appnode", "m1.small"),
        BootSpec("dbserver2", "dbserver", "m1.small"),
        BootSpec("loadbalancer2", "loadbalancer", "m1.small"),
    ]
    found, lines = bake.from_baked(Cloud(), deployment.settings, specs)
    assert [spec.image for spec in found] == ["id-of-baked", "debian-12", *[None] * 4]
    assert asked == [(kind, f"code of {kind}") for kind in ("appnode", "dbserver", "loadbalancer")]
    assert lines[0] == "appnode: booting from the baked image baked-appnode"
    assert lines[1].startswith("loadbalancer: stale-loadbalancer was baked of other cookbooks or another image")


def test_a_second_answer_is_typed_and_nobody_is_asked_where_nobody_is(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(UsageError, match="This needs 'dbserver1' to be typed") as caught:
        _prompt.typed("its databases go with it", "dbserver1", "")
    assert "--yes-i-mean-it dbserver1" in caught.value.hint
    assert _prompt.typed("why", "dbserver1", "appnode1,dbserver1")
    assert not _prompt.typed("why", "dbserver1", "dbserver")
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)}))
    monkeypatch.setattr("builtins.input", lambda question: "dbserver1 " if "Type dbserver1" in question else "")
    assert _prompt.typed("its databases go with it", "dbserver1", "")
    assert not _prompt.typed("it is the last one", "appnode1", "")


def test_what_can_not_be_without_the_leaving_is_left_as_it_is(deployment, monkeypatch):
    site = {"one": deployment.settings.SITES["one"].model_copy(update={"database": "one"})}
    deployment = replace(deployment, settings=deployment.settings.model_copy(update={"SITES": site}))
    monkeypatch.setattr(drain, "run_lists", lambda servers, after: run_lists(servers, after, deployment))
    leaving = Leaving([deployment.inventory.named("dbserver1")], deployment, LineReport(io.StringIO()))
    lists, notes = drain._lists(leaving, [deployment.inventory.named(name) for name in ("appnode1", "loadbalancer1")])
    assert list(lists) == ["loadbalancer1"]
    assert notes == ["appnode1 stays as it is: there is no server of type dbserver (or dbappbalancer)"]


def run_lists(servers, after, before):
    """As the real ones, without the attributes that want keys and certificates."""
    assert len(after.inventory) < len(before.inventory)
    for server in servers:
        if "appnode" in servertypes.parts(server.type):
            _database.url("one", "one", after)
    return {server.name: server for server in servers}
