"""Servers that go, with what goes and what stays; what nobody uses; and what is cut off on the way, repeated."""

import contextlib

import pytest

from deploymachine.cloud import connect
from deploymachine.cloud.leaks import READY
from deploymachine.errors import CloudError, UsageError
from deploymachine.hostkeys import HostKeys, pinned_names
from deploymachine.scale_down import everybody, telling_all
from tests.unit.cloud.fake_openstack import image, make_settings
from tests.unit.cloud.test_cloud_heal import everything

DISKS = [{"name": "scratch", "size": 5, "keep": False}, {"name": "data", "size": 20}]
OURS = {"deploymachine_deployment": "guestbook", "deploymachine_type": "appnode"}


@pytest.fixture
def rich(tmp_path, openstack, sshd):
    """A server with an address, a volume that goes with it and one that stays, in groups of both kinds."""
    openstack.services["block-storage"] = "/volume/v3"
    named = {"appnode": [{"name": "appnode1", "flavor": "m1.small", "data_volumes": DISKS}, ("appnode2", "m1.small")]}
    pool = {"OPENSTACK_SERVERS": named, "OPENSTACK_FLOATING_IP_POOL": "public"}
    settings = make_settings(tmp_path, openstack, SSH_PORT=sshd, **pool)
    cloud = connect(settings)
    cloud.boot(["appnode1", "appnode2"], wait_for_ssh=False)
    for group in openstack.server_groups.values():
        group["members"] = list(openstack.servers)
    yield cloud
    cloud.close()


def test_what_goes_and_what_stays(rich):
    mine = rich.belongings(["appnode1"])["appnode1"]
    assert [thing.kind for thing in mine.goes] == ["address", "volume"]
    assert mine.goes[1].name == "guestbook-appnode1-scratch"
    [kept] = mine.stays
    assert (kept.name, kept.note) == ("guestbook-appnode1-data", "20 GB, kept for the next server of that name")


def test_only_what_is_the_servers_own_goes_with_it(rich, openstack):
    rich.delete(["appnode1"])
    left = everything(openstack)
    assert left["servers"] == ["appnode2"]
    assert left["addresses"] == [("deploymachine:guestbook/appnode2", False)]
    assert left["volumes"] == [("guestbook-appnode1-data", "available")]
    assert left["server groups"] == ["deploymachine-guestbook-appnode"]
    assert "appnode1" not in pinned_names(rich.settings.directory)


@pytest.mark.parametrize("done", [False, True], ids=["not done", "done, the answer lost"])
def test_cut_off_at_each_change_and_repeated_nothing_of_it_is_left(rich, openstack, done):
    """As if killed: from the n-th change on nothing is heard from the cloud any more, and nothing is asked of it."""
    answered, whole = 0, False
    while not whole:
        rich.boot(["appnode1", "appnode2"], wait_for_ssh=False)
        cut = connect(rich.settings.model_copy(update={"OPENSTACK_BOOT_TIMEOUT": 0.5}))
        openstack.cut = (answered, done)
        with contextlib.suppress(CloudError):
            cut.delete(["appnode1", "appnode2"])
            whole = openstack.cut[0] >= 0
        openstack.cut = None
        cut.close()
        with contextlib.suppress(UsageError):  # it was through before it was cut off
            rich.delete(["appnode1", "appnode2"])
        rich.delete_leaks([leak for leak in rich.leaks() if "group" in leak.kind])
        left = everything(openstack)
        openstack.rules.clear()  # which went with their groups
        left.pop("rules")
        assert left.pop("volumes") == [("guestbook-appnode1-data", "available")]
        assert not any(left.values()), f"cut off after {answered} changes: {left}"
        assert not pinned_names(rich.settings.directory)
        answered += 1 if answered < 3 else 2
    assert answered >= 8


def test_a_server_that_is_gone_but_for_its_leftovers(rich, openstack):
    server = next(one for one in openstack.servers.values() if one["name"] == "appnode2")
    openstack.servers.pop(server["id"])
    for ip in openstack.floating.values():
        ip["port_id"] = ip["port_id"] if ip["port_id"] != f"port-{server['id']}" else None
    [address] = rich.belongings(["appnode2"])["appnode2"].goes
    assert address.kind == "address"
    rich.delete(["appnode2"])
    assert len(openstack.floating) == 1
    with pytest.raises(UsageError, match="There is no server 'appnode2'"):
        rich.delete(["appnode2"])


def test_what_nobody_uses_is_found_and_others_is_not(rich, openstack):
    assert rich.leaks() == []
    openstack.add_server("bake-of-appnode1", {"deploymachine_baking": "guestbook"})
    openstack.add_server("bake-of-appnode1", {"deploymachine_baking": "another"})
    for name, marks in (
        ("raw", {"deploymachine_bake": "raw"}),
        ("old", {"deploymachine_bake": READY, "created_at": "2026-01-01T00:00:00Z"}),
        ("new", {"deploymachine_bake": READY, "created_at": "2026-01-02T00:00:00Z"}),
        ("others", {"deploymachine_bake": READY, "deploymachine_deployment": "another"}),
    ):
        openstack.images.append({**image(name), **OURS, **marks})
    balancers = "deploymachine-guestbook-loadbalancer"
    openstack.add_group(balancers, "deployment guestbook, loadbalancer, kept by deploymachine")
    openstack.add_group("deploymachine-another", "deployment another, kept by deploymachine")
    found = sorted(
        (leak.kind, leak.name) for leak in rich.leaks() if leak.kind in ("server", "image", "security group")
    )
    assert found == [
        ("image", "old"),
        ("image", "raw"),
        ("security group", balancers),
        ("server", "bake-of-appnode1"),
    ]


def test_kept_data_is_told_apart(rich, openstack):
    rich.delete(["appnode1", "appnode2"])
    [leak] = rich.leaks()
    assert (leak.kind, leak.name, leak.data) == ("volume", "guestbook-appnode1-data", True)
    assert leak.why == "20 GB, was appnode1's, kept for it"
    rich.delete_leaks([leak])
    assert openstack.volumes == {}


def test_a_resize_that_can_not_be(rich):
    with pytest.raises(UsageError, match=r"has the flavor m1\.small already"):
        rich.check_resize("appnode1", "m1.small")
    with pytest.raises(CloudError, match=r"no flavor 'm1\.smal'; did you mean 'm1\.small'"):
        rich.check_resize("appnode1", "m1.smal")
    with pytest.raises(UsageError, match="did you mean 'appnode1'"):
        rich.check_resize("appnod1", "m1.medium")


def test_a_rebuild_that_the_cloud_refuses_leaves_the_pinned_key(rich, openstack):
    address = rich.servers().named("appnode1").address
    before = HostKeys(rich.settings).get(address, 22)
    message = "Cannot 'rebuild' instance while it is in task_state image_snapshot"
    openstack.faults.append(("POST", ".*/action", 409, {"conflictingRequest": {"code": 409, "message": message}}))
    with pytest.raises(CloudError, match="appnode1 can't be rebuilt") as caught:
        rich.rebuild("appnode1")
    assert caught.value.why == f"{message} (HTTP 409)"
    assert HostKeys(rich.settings).get(address, 22) == before is not None


def test_everybody_is_who_is_there_and_who_left_a_key(rich):
    HostKeys(rich.settings).pin("appnode7", "127.77.0.7", 22, "ssh-ed25519 AAAA")
    servers = everybody(rich.settings, rich.servers())
    assert [(server.name, server.state) for server in servers] == [
        ("appnode1", "ACTIVE"),
        ("appnode2", "ACTIVE"),
        ("appnode7", "GONE"),
    ]
    names = [server.name for server in servers]
    told = telling_all(servers, rich.belongings(names), rich.leaks(baked=True))
    assert "appnode7: gone already, its leftovers" in told
    assert "  goes too: volume guestbook-appnode1-data (20 GB, kept for the next server of that name)" in told
    rich.delete(names)
    rich.delete_leaks(rich.leaks(baked=True))
    assert everybody(rich.settings, rich.servers()) == []
    assert telling_all([], {}, rich.leaks()) == ["There is nothing of this deployment in the cloud."]


def test_a_server_is_switched_off_and_stays_so(rich, openstack):
    for _ in range(2):
        rich.switch_off("appnode1")
    assert rich.servers().named("appnode1").state == "SHUTOFF"
    assert openstack.actions.count(("appnode1", "os-stop")) == 1


def test_what_the_cloud_can_not_switch_off_is_told(rich, openstack):
    openstack.faults.append(
        (
            "POST",
            r"/compute/v2.1/servers/[^/]+/action",
            409,
            {"conflictingRequest": {"message": "it is locked", "code": 409}},
        )
    )
    with pytest.raises(CloudError, match="appnode1 can't be switched off") as error:
        rich.switch_off("appnode1")
    assert "it is locked" in str(error.value)
