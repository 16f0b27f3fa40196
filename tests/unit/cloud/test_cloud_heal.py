"""Every state a server can be in, and what boot and kill make of it; and boots that are cut off anywhere."""

import pytest

from deploymachine import servertypes
from deploymachine.cloud import connect
from deploymachine.cloud.each import Clock
from deploymachine.errors import CloudError
from tests.unit.cloud.fake_openstack import KEY, fixed, make_settings

MARKS = {"deploymachine_deployment": "guestbook", "deploymachine_type": "appnode", "deploymachine_hostkey": KEY}
RAN = {"OS-SRV-USG:launched_at": "2026-01-01T00:00:00.000000"}
NO_HOST = {"fault": {"code": 500, "message": "No valid host was found."}}
ADDRESS = "127.77.0.50"


def state(status="ACTIVE", **more):
    def add(openstack):
        more.setdefault("addresses", {"private": [fixed(ADDRESS)]} if status != "BUILD" else {})
        server = openstack.add_server("appnode1", dict(MARKS), status, ADDRESS, **more)
        if "no_port" in more:
            server["_ports"] = []
        return server

    return add


def slow_build(openstack):
    return state("BUILD", created=openstack.now(3600))(openstack)


def with_twin(openstack):
    kept = state()(openstack)
    state("ERROR", **NO_HOST)(openstack)
    return kept


def absent(openstack):
    return None


# state -> what a boot without --yes makes of it, and with it: kept (the same server, running), made (another one), or
# the words of the error, after which the server is what it was.
MATRIX = {
    "absent": (absent, "made", "made"),
    "ACTIVE": (state(), "kept", "kept"),
    "ACTIVE, no group": (state(groups=[]), "kept", "kept"),
    "ACTIVE, no port": (state(no_port=True), "kept", "kept"),
    "ACTIVE, not listed yet": (state(addresses={}), "has no address", "has no address"),
    "VERIFY_RESIZE": (state("VERIFY_RESIZE"), "kept", "kept"),
    "BUILD": (state("BUILD"), "kept", "kept"),
    "BUILD for an hour": (slow_build, "was not made anew", "made"),
    "REBOOT": (state("REBOOT", **{"OS-EXT-STS:task_state": "rebooting"}), "kept", "kept"),
    "RESIZE": (state("RESIZE", **{"OS-EXT-STS:task_state": "resize_prep"}), "kept", "kept"),
    "SHUTOFF": (state("SHUTOFF"), "kept", "kept"),
    "PAUSED": (state("PAUSED"), "kept", "kept"),
    "SUSPENDED": (state("SUSPENDED"), "kept", "kept"),
    "SHELVED": (state("SHELVED"), "kept", "kept"),
    "SHELVED_OFFLOADED": (state("SHELVED_OFFLOADED"), "kept", "kept"),
    "RESCUE": (state("RESCUE"), "is RESCUE", "is RESCUE"),
    "UNKNOWN": (state("UNKNOWN"), "is UNKNOWN", "is UNKNOWN"),
    "ERROR, never ran": (state("ERROR", addresses={}, **NO_HOST), "No valid host was found", "made"),
    "ERROR, ran once": (state("ERROR", **RAN), "kept", "kept"),
    "ERROR, beyond repair": (state("ERROR", **RAN, **NO_HOST), "hard reboot did not", "made"),
    "being deleted": (state(**{"OS-EXT-STS:task_state": "deleting"}), "made", "made"),
    "one half made beside it": (with_twin, "two servers 'appnode1'", "kept"),
}


@pytest.fixture
def hasty(settings, monkeypatch):
    """It does not look ten times whether an address turns up."""
    monkeypatch.setattr("deploymachine.cloud.watch.LISTED_LOOKS", 2)
    cloud = connect(settings)
    yield cloud
    cloud.close()


def outcome(openstack, before):
    """What became of the one server named appnode1."""
    [now] = [one for one in openstack.servers.values() if one["OS-EXT-STS:task_state"] != "deleting"]
    assert now["status"] in ("ACTIVE", "VERIFY_RESIZE")
    groups = {openstack.groups[one]["name"] for one in now["_ports"][0]["security_groups"]}
    assert groups == {"deploymachine-guestbook", "deploymachine-guestbook-appnode"}
    return "kept" if before is not None and now["id"] == before["id"] else "made"


@pytest.mark.parametrize("yes", [False, True], ids=["boot", "boot --yes"])
@pytest.mark.parametrize("name", list(MATRIX))
def test_boot(hasty, openstack, name, yes):
    add, *expected = MATRIX[name]
    before = add(openstack)
    if name == "ERROR, beyond repair":
        openstack.beyond_repair.add("appnode1")
    count = len(openstack.servers)
    if expected[yes] in ("kept", "made"):
        [server] = hasty.boot(["appnode1"], agree=lambda _: yes)
        assert outcome(openstack, before) == expected[yes]
        assert server.private_ip
        return
    status = before["status"]
    with pytest.raises(CloudError) as caught:
        hasty.boot(["appnode1"], agree=lambda _: yes)
    assert expected[yes] in str(caught.value)
    assert (len(openstack.servers), before["status"]) == (count, status)


@pytest.mark.parametrize("name", [name for name, row in MATRIX.items() if row[2] in ("kept", "made")])
def test_boot_twice_is_boot_once(hasty, openstack, name):
    MATRIX[name][0](openstack)
    if name == "ERROR, beyond repair":
        openstack.beyond_repair.add("appnode1")
    hasty.boot(["appnode1"], agree=lambda _: True)
    ids, asked = set(openstack.servers), len(openstack.requests)
    hasty.boot(["appnode1"], agree=lambda _: pytest.fail("nothing is to be asked"))
    assert set(openstack.servers) == ids
    assert {method for method, *_ in openstack.requests[asked:]} == {"GET"}


@pytest.mark.parametrize("name", [name for name in MATRIX if name != "absent"])
def test_kill(hasty, openstack, name):
    MATRIX[name][0](openstack)
    hasty.delete(["appnode1"])
    assert not openstack.servers
    assert not openstack.groups


def test_what_is_asked_names_what_is_lost(hasty, openstack):
    asked = []
    state("ERROR", **RAN, **NO_HOST)(openstack)
    hasty.boot(["appnode1"], agree=lambda question: asked.append(question) or False)
    [question] = asked
    assert question.startswith("appnode1 ran once and is in ERROR now (No valid host was found.)")
    assert "All that is on its disk is lost" in question
    assert ("appnode1", "reboot") in openstack.actions


def test_a_server_that_ran_is_never_deleted_unasked_even_where_its_reboot_fails(hasty, openstack):
    before = state("ERROR", **RAN)(openstack)
    openstack.beyond_repair.add("appnode1")
    with pytest.raises(CloudError) as caught:
        hasty.boot(["appnode1"])
    assert "fab openstack_boot appnode1 --yes" in caught.value.hint
    assert list(openstack.servers) == [before["id"]]
    assert not [1 for method, *_ in openstack.requests if method == "DELETE"]


def test_one_that_is_not_agreed_to_holds_up_no_other(hasty, openstack):
    state("ERROR", **NO_HOST)(openstack)
    with pytest.raises(CloudError, match="1 of 2 servers did not come up: appnode1"):
        hasty.boot(["appnode1", "dbserver1"])
    assert {one["name"]: one["status"] for one in openstack.servers.values()} == {
        "appnode1": "ERROR",
        "dbserver1": "ACTIVE",
    }


def test_two_that_ran_are_for_a_person_to_tell_apart(hasty, openstack):
    state()(openstack)
    state("SHUTOFF")(openstack)
    with pytest.raises(CloudError, match="two servers 'appnode1'"):
        hasty.boot(["appnode1"], agree=lambda _: True)
    assert len(openstack.servers) == 2


@pytest.fixture
def rich(tmp_path, openstack, sshd, monkeypatch):
    """All that a boot can make: addresses, volumes, groups of both kinds."""
    monkeypatch.setattr(servertypes, "names", lambda: ("appnode", "dbserver", "loadbalancer"))
    openstack.services["block-storage"] = "/volume/v3"
    named = {
        "appnode": [("appnode1", "m1.small"), ("appnode2", "m1.small")],
        "dbserver": [{"name": "dbserver1", "flavor": "m1.small", "data_volumes": [20]}],
    }
    pool = {"OPENSTACK_SERVERS": named, "OPENSTACK_FLOATING_IP_POOL": "public"}
    return make_settings(tmp_path, openstack, SSH_PORT=sshd, **pool)


ALL = ["appnode1", "appnode2", "dbserver1"]


def everything(openstack):
    return {
        "servers": sorted(one["name"] for one in openstack.servers.values()),
        "addresses": sorted((ip["description"], ip["port_id"] is None) for ip in openstack.floating.values()),
        "volumes": sorted((one["name"], one["status"]) for one in openstack.volumes.values()),
        "groups": sorted(one["name"] for one in openstack.groups.values()),
        "rules": len(openstack.rules),
        "server groups": sorted(one["name"] for one in openstack.server_groups.values()),
    }


WHOLE = {
    "servers": ALL,
    "addresses": [(f"deploymachine:guestbook/{name}", False) for name in ALL],
    "volumes": [("guestbook-dbserver1-data1", "in-use")],
    "groups": ["deploymachine-guestbook", "deploymachine-guestbook-appnode", "deploymachine-guestbook-dbserver"],
    "rules": 8,
    "server groups": ["deploymachine-guestbook-appnode"],
}
CHANGES = 20  # that such a boot makes


@pytest.mark.parametrize("done", [False, True], ids=["not done", "done, the answer lost"])
def test_cut_off_at_each_change_and_repeated_it_ends_in_exactly_what_was_named(rich, openstack, done, monkeypatch):
    """As if killed: from the n-th change on nothing is heard from the cloud any more, and nothing is asked of it."""
    expired = Clock.expired
    monkeypatch.setattr(Clock, "expired", lambda clock: is_cut_off(openstack) or expired(clock))
    cloud = connect(rich)
    for answered in range(CHANGES):
        openstack.cut = (answered, done)
        with pytest.raises(CloudError):
            cloud.boot(ALL, wait_for_ssh=False)
        assert is_cut_off(openstack)
        openstack.cut = None
        cloud.boot(ALL, agree=lambda _: True)
        assert everything(openstack) == WHOLE, f"cut off after {answered} changes"
        for name in ("servers", "volumes", "floating", "groups", "rules", "server_groups"):
            getattr(openstack, name).clear()
    openstack.cut = (CHANGES, done)
    cloud.boot(ALL)  # which needs no more of them
    cloud.close()


def is_cut_off(openstack):
    return openstack.cut is not None and openstack.cut[0] < 0
