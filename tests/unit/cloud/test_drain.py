import pytest

from deploymachine import servertypes
from deploymachine.cloud.owned import Belongings, Thing
from deploymachine.drain import Leaving, parsed
from deploymachine.inventory import Inventory, Server
from deploymachine.report import LineReport
from deploymachine.scale_down import asks_twice, chosen, telling
from deploymachine.secrets import Secrets
from deploymachine.servertypes import Deployment
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
    settings = make_settings(tmp_path, openstack, SITES={"one": {**SITE, "port": 8000}, "two": {**SITE, "port": 8001}})
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
    leaving = Leaving([find("appnode2"), find("dbserver1")], deployment, LineReport(None))
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
    assert asks_twice(servers, deployment.inventory) == {}


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
    found = asks_twice([deployment.inventory.named(name) for name in names], deployment.inventory)
    assert found.keys() == twice.keys()
    assert all(words in found[name] for name, words in twice.items())
