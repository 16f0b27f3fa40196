"""Trouble ordered over HTTP, met by the real SDK."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests
from keystoneauth1.exceptions import ConnectFailure, RetriableConnectionFailure
from openstack import exceptions

from deploymachine.devcloud.api import open_cloud
from deploymachine.devcloud.daemon import answer, hang_up
from deploymachine.devcloud.faults import Faults
from deploymachine.errors import DevcloudError

SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS]
WANTED = {"image": "debian-13", "flavor": "m1.tiny", "network": "private", "auto_ip": False, "timeout": 20}


@pytest.fixture
def faults(service):
    return Faults(service.layout)


def names(sdk):
    return [server.name for server in sdk.compute.servers(details=False)]


def test_a_build_ends_in_error_with_the_fault_ordered_and_the_next_does_not(sdk, faults):
    faults.order("build", name="web*", message="No valid host was found. ")
    with pytest.raises(exceptions.SDKException):
        sdk.create_server("web1", wait=True, **WANTED)
    server = sdk.get_server("web1")
    assert (server.status, server.fault["message"], server.fault["code"]) == ("ERROR", "No valid host was found. ", 500)
    assert sdk.create_server("web2", wait=True, **WANTED).status == "ACTIVE"
    assert sdk.delete_server("web1", wait=True, timeout=20)


def test_a_build_of_another_name_is_not_met(sdk, faults):
    faults.order("build", name="web1", message="broken", times=2)
    assert sdk.create_server("other", wait=True, **WANTED).status == "ACTIVE"
    for _ in range(2):
        with pytest.raises(exceptions.SDKException):
            sdk.create_server("web1", wait=True, **WANTED)
        sdk.delete_server("web1", wait=True, timeout=20)
    assert sdk.create_server("web1", wait=True, **WANTED).status == "ACTIVE"


def test_a_slow_build_stays_in_build_so_long_and_others_do_not_wait_for_it(sdk, faults):
    faults.order("build", name="slow*", seconds=600, times=6)
    slow = [sdk.create_server(f"slow{number}", wait=False, **WANTED) for number in range(6)]
    assert sdk.compute.get_server(slow[0].id).status == "BUILD"
    assert sdk.create_server("quick", wait=False, **WANTED)
    quick = sdk.compute.wait_for_server(sdk.get_server("quick"), interval=0.02, wait=10)
    assert quick.status == "ACTIVE"
    assert {sdk.compute.get_server(server.id).status for server in slow} == {"BUILD"}
    faults.clear()
    for server in slow:
        assert sdk.compute.wait_for_server(server, interval=0.05, wait=10).status == "ACTIVE"
    faults.order("build", name="late", seconds=0.2)
    began = time.monotonic()
    late = sdk.create_server("late", wait=False, **WANTED)
    assert sdk.compute.wait_for_server(late, interval=0.02, wait=10).status == "ACTIVE"
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (429, "overLimit", exceptions.HttpException),
        (413, "overLimit", exceptions.HttpException),
        (500, "computeFault", exceptions.HttpException),
    ],
)
def test_the_nth_request_is_refused_as_nova_refuses(service, sdk, faults, status, kind, error):
    faults.order("refuse", method="GET", path="/compute/v2.1/servers", status=status, nth=2, retry_after=7)
    assert names(sdk) == []
    url, token = f"{service.layout.url}/compute/v2.1/servers", {"X-Auth-Token": sdk.auth_token}
    refused = requests.get(url, headers=token, timeout=5)
    assert (refused.status_code, refused.headers["Retry-After"]) == (status, "7")
    assert refused.json()[kind]["code"] == status
    assert names(sdk) == []
    assert faults.all() == []


def test_the_sdk_says_what_the_cloud_said(sdk, faults):
    faults.order("refuse", path="/network/*", status=500, message="out of order")
    with pytest.raises(exceptions.HttpException, match="out of order"):
        list(sdk.network.networks())
    assert list(sdk.network.networks())


def test_a_503_comes_from_a_proxy_and_a_client_that_heeds_retry_after_gets_through(service, sdk, faults):
    faults.order("refuse", path="/image/*", status=503, retry_after=1, times=2)
    token = {"X-Auth-Token": sdk.auth_token}
    answers = [requests.get(f"{service.layout.url}/image/v2/images", headers=token, timeout=5) for _ in range(3)]
    assert [one.status_code for one in answers] == [503, 503, 200]
    assert answers[0].headers["Retry-After"] == "1"
    assert answers[0].text.startswith("<html>")


def test_an_answer_is_lost_after_it_was_carried_out(sdk, faults):
    faults.order("lose", method="POST", path="/compute/v2.1/servers")
    with pytest.raises((ConnectFailure, RetriableConnectionFailure, exceptions.SDKException)):
        sdk.create_server("lost", wait=False, **WANTED)
    assert names(sdk) == ["lost"]


def test_every_token_expires_and_logging_in_again_works(service, sdk, faults):
    old = {"X-Auth-Token": sdk.auth_token}
    faults.order("expire")
    url = f"{service.layout.url}/compute/v2.1/servers"
    assert requests.get(url, headers=old, timeout=5).status_code == 401
    assert names(sdk) == []  # the SDK logs in again by itself
    assert requests.get(url, headers={"X-Auth-Token": sdk.auth_token}, timeout=5).status_code == 200


def test_an_api_that_is_down_refuses_requests_for_a_while(service, sdk, faults):
    token = {"X-Auth-Token": sdk.auth_token}
    url = f"{service.layout.url}/compute/v2.1/servers"
    faults.order("down", seconds=30)
    assert requests.get(url, headers=token, timeout=5).status_code == 503
    faults.order("down", seconds=30, refused=True)
    with pytest.raises(requests.ConnectionError):
        requests.get(url, headers=token, timeout=5)
    faults.clear()
    assert names(sdk) == []
    faults.order("down", seconds=0.2)
    time.sleep(0.25)
    assert names(sdk) == []


def test_the_daemon_closes_its_port_for_so_long(service, sdk, faults):
    """Under the server that serves in earnest."""
    service.stop()
    cloud, ended = open_cloud(service.layout, service.machines), threading.Event()
    daemon = threading.Thread(target=answer, args=(cloud, 4, ended.is_set))
    daemon.start()
    try:
        _wait(lambda: faults.all() == [])
        assert names(sdk) == []
        faults.order("lose", path="/compute/v2.1/servers")
        with pytest.raises(ConnectFailure):
            names(sdk)
        faults.order("down", seconds=1.0, refused=True)
        _wait(lambda: _listens(service) is False)
        _wait(lambda: _answers(service))
        assert names(sdk) == []
    finally:
        ended.set()
        hang_up_now = cloud.trouble.hang_up
        hang_up_now()
        daemon.join(10)
        service.start()
    assert not daemon.is_alive()
    assert hang_up_now.func is hang_up


def _listens(service):
    try:
        socket.create_connection(("127.0.0.1", service.layout.port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


def _answers(service):
    try:
        return requests.get(f"{service.layout.url}/identity/v3", timeout=5).ok
    except requests.ConnectionError:
        return False


def _wait(true, seconds=10):
    deadline = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except DevcloudError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_slow_answer_comes_late(sdk, faults):
    assert names(sdk) == []
    faults.order("slow", path="/compute/v2.1/servers", seconds=0.3)
    began = time.monotonic()
    assert names(sdk) == []
    assert time.monotonic() - began >= 0.3


def test_a_thousand_servers_of_others_come_in_pages(service, sdk, faults):
    sdk.create_server("mine", wait=True, **WANTED)
    faults.order("crowd", count=1000, name="theirs", metadata={"deployment": "another"})
    faults.order("pages", path="/compute/*", size=300)
    found = list(sdk.compute.servers())
    assert len(found) == 1001
    assert len({server.id for server in found}) == 1001
    assert {server.metadata.get("deployment") for server in found if server.name != "mine"} == {"another"}
    url = f"{service.layout.url}/compute/v2.1/servers/detail"
    page = requests.get(url, headers={"X-Auth-Token": sdk.auth_token}, timeout=5).json()
    assert len(page["servers"]) == 300
    assert "marker=" in page["servers_links"][0]["href"]
    assert sdk.get_server("theirs1000").status == "ACTIVE"
    assert len(service.machines.living) == 1


@pytest.mark.parametrize("path", ["/network/*", "/image/*", "/compute/*"])
def test_every_list_comes_in_pages(sdk, faults, path):
    for name in ("one", "two", "three"):
        sdk.create_network(name)
        sdk.create_keypair(name)
    faults.order("pages", path=path, size=1)
    assert len(list(sdk.network.networks())) == 5
    assert len(list(sdk.network.security_group_rules())) == 4
    assert len(list(sdk.image.images())) == 2
    assert len(list(sdk.compute.flavors())) == 4


def test_orders_are_listed_taken_back_and_gone_with_the_daemon(service, sdk, faults):
    first = faults.order("refuse", path="/compute/*", status=500, times=-1)
    faults.order("slow", seconds=0)
    assert [order["kind"] for order in faults.all()] == ["refuse", "slow"]
    faults.clear(first)
    assert [order["kind"] for order in faults.all()] == ["slow"]
    faults.clear()
    assert faults.all() == []
    faults.order("refuse", status=500, times=-1)
    service.restart()
    assert faults.all() == []
    assert names(sdk) == []


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"kind": "nonsense"}, "kind is 'nonsense'; there are refuse"),
        ({"kind": "slow", "second": 1}, "an order has no 'second'"),
        ({"kind": "slow", "seconds": "long"}, "seconds can't be 'long'"),
        ({"kind": "slow", "seconds": -1}, "seconds can't be -1"),
        ({"kind": "slow", "met": 1}, "an order has no 'met'"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_and_changes_nothing(faults, wish, words):
    with pytest.raises(DevcloudError) as refused:
        faults.order(**wish)
    assert words in str(refused.value)
    assert faults.all() == []


def test_orders_want_a_token_of_this_devcloud(service):
    url = f"{service.layout.url}/devcloud/faults"
    assert requests.post(url, json={"kind": "expire"}, timeout=5).status_code == 401
    assert requests.get(url, headers={"X-Auth-Token": "made up"}, timeout=5).status_code == 401


def test_the_command_orders_lists_and_clears(service, monkeypatch):
    service.layout.save()
    monkeypatch.setenv("DEPLOYMACHINE_DEVCLOUD_DIR", str(service.layout.directory))

    def command(*words):
        argv = [sys.executable, "-m", "deploymachine.devcloud.faults", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    ordered = command("order", '{"kind": "refuse", "path": "/compute/*", "status": 429, "retry_after": 1}')
    assert ordered.returncode == 0, ordered.stderr
    assert [order["id"] for order in json.loads(command("list").stdout)] == [ordered.stdout.strip()]
    assert command("clear").returncode == 0
    assert json.loads(command("list").stdout) == []
    wrong = command("order", '{"kind": "rain"}')
    assert wrong.returncode == 1
    assert "kind is 'rain'" in wrong.stderr
    assert "Traceback" not in wrong.stderr
