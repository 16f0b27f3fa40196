"""The cloud's refusals and bad moments: waited through where that is safe, else told in the cloud's own words."""

import threading
import time

import pytest

from deploymachine.cloud import boot_spec, connect
from deploymachine.cloud.each import Clock
from deploymachine.errors import CloudError
from tests.unit.cloud.fake_openstack import make_settings

SERVERS = "/compute/v2.1/servers"
ONE_SERVER = "/compute/v2.1/servers/[0-9a-f]{8}-"  # and not /servers/detail
NOTHING_TO_DO = {"itemNotFound": {"code": 404, "message": "gone"}}


def refusal(status, message):
    return {"error": {"code": status, "message": message}}


def names(openstack):
    return sorted(server["name"] for server in openstack.servers.values())


# -- quota -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"maxTotalInstances": 10, "totalInstancesUsed": 9}, "servers: 2 wanted, 9 of 10 used"),
        ({"maxTotalCores": 20, "totalCoresUsed": 18}, "cores: 3 wanted, 18 of 20 used"),
        ({"maxTotalRAMSize": 6000, "totalRAMUsed": 0}, "MB of memory: 6144 wanted, 0 of 6000 used"),
    ],
)
def test_a_quota_that_is_too_small_is_told_before_anything_is_made(cloud, openstack, limits, why):
    openstack.limits = limits
    with pytest.raises(CloudError, match="quota does not allow this; nothing was made") as caught:
        cloud.boot(["appnode1", "dbserver1"])
    assert caught.value.why == why
    assert "quota show" in caught.value.hint
    assert not openstack.servers
    assert not openstack.groups


def test_a_quota_without_limit_or_just_large_enough(cloud, openstack):
    openstack.limits = {"maxTotalInstances": 2, "totalInstancesUsed": 0, "maxTotalCores": -1, "totalCoresUsed": 900}
    cloud.boot(["appnode1", "dbserver1"])
    openstack.limits["totalInstancesUsed"] = 2
    cloud.boot(["appnode1", "dbserver1"])  # which are there


def test_what_is_deleted_first_does_not_count(cloud, openstack):
    openstack.build_errors["appnode1"] = "No valid host was found."
    with pytest.raises(CloudError):
        cloud.boot(["appnode1"])
    openstack.build_errors.clear()
    openstack.limits = {"maxTotalInstances": 1, "totalInstancesUsed": 1}
    cloud.boot(["appnode1"], agree=lambda _: True)
    assert names(openstack) == ["appnode1"]


def test_too_few_floating_ips(tmp_path, openstack, sshd):
    cloud = connect(make_settings(tmp_path, openstack, SSH_PORT=sshd, OPENSTACK_FLOATING_IP_POOL="public"))
    openstack.floating_limit = 1
    with pytest.raises(CloudError) as caught:
        cloud.boot(["appnode1", "dbserver1"])
    assert caught.value.why == "floating IPs: 2 wanted, 0 of 1 used"
    assert not openstack.servers


QUOTA = "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances"


@pytest.mark.parametrize(
    ("method", "path", "status", "message", "hint"),
    [
        ("POST", SERVERS, 403, QUOTA, "quota show"),
        ("POST", SERVERS, 403, "Maximum number of ports exceeded", "quota show"),
        ("POST", SERVERS, 403, "Policy doesn't allow os_compute_api:servers:create", "administrator"),
        ("POST", SERVERS, 409, "Instance appnode1 already exists.", "name yours differently"),
        ("POST", "/network/v2.0/floatingips", 409, "Quota exceeded for resources: ['floatingip'].", "quota show"),
        (
            "POST",
            "/network/v2.0/security-groups",
            409,
            "Quota exceeded for resources: ['security_group'].",
            "quota show",
        ),
    ],
)
def test_a_refusal_is_told_in_the_clouds_own_words(tmp_path, openstack, sshd, method, path, status, message, hint):
    cloud = connect(make_settings(tmp_path, openstack, SSH_PORT=sshd, OPENSTACK_FLOATING_IP_POOL="public"))
    openstack.faults.append((method, path, status, refusal(status, message)))
    with pytest.raises(CloudError) as caught:
        cloud.boot(["appnode1"])
    assert caught.value.why == f"{message} (HTTP {status})"
    assert hint in caught.value.hint
    cloud.boot(["appnode1"])
    assert names(openstack) == ["appnode1"]
    assert len(openstack.floating) == 1


def test_no_valid_host_is_told_kept_and_healed_by_the_next_boot(cloud, openstack):
    """202 first, then ERROR: the server stays, since its record says why; with the next boot it goes."""
    openstack.build_errors["appnode1"] = "No valid host was found. There are not enough hosts available."
    with pytest.raises(CloudError, match="appnode1 ended in ERROR") as caught:
        cloud.boot(["appnode1"])
    assert caught.value.why == openstack.build_errors["appnode1"]
    assert "fab openstack_boot appnode1" in caught.value.hint
    assert cloud.servers().named("appnode1").state == "ERROR"
    openstack.build_errors.clear()
    cloud.boot(["appnode1"], agree=lambda _: True)
    assert cloud.servers().named("appnode1").state == "ACTIVE"
    assert names(openstack) == ["appnode1"]


# -- others' servers -------------------------------------------------------------------------------------


def test_a_name_that_anothers_server_has(cloud, openstack):
    foreign = openstack.add_server("appnode1", {"deploymachine_deployment": "shop"})
    nobodys = openstack.add_server("appnode1", {}, status="ERROR")
    before = [dict(foreign), dict(nobodys)]
    [server] = cloud.boot(["appnode1"], agree=lambda _: True)
    assert server.id not in (foreign["id"], nobodys["id"])
    assert len(cloud.warnings) == 2
    assert f"another server 'appnode1', of the deployment shop ({foreign['id']})" in cloud.warnings[0]
    assert "of no deployment" in cloud.warnings[1]
    cloud.delete(["appnode1"])
    assert [dict(one) for one in openstack.servers.values()] == before


# -- bad moments -----------------------------------------------------------------------------------------


def test_an_expired_token_is_replaced_and_nobody_notices(cloud, openstack):
    cloud.servers()
    openstack.token = "another"
    cloud.boot(["appnode1", "dbserver1"])
    assert names(openstack) == ["appnode1", "dbserver1"]


def test_a_token_expires_while_keystone_has_a_bad_moment(cloud, openstack):
    cloud.servers()
    openstack.token = "another"
    openstack.faults += [("POST", "/v3/auth", 503, refusal(503, "maintenance"))] * 2
    cloud.servers()
    assert openstack.faults == []


def test_a_token_that_expires_in_the_middle_of_a_boot(cloud, openstack):
    def expire(name, phase):
        if phase == "ACTIVE":
            openstack.token = f"after {name}"

    cloud.boot(["appnode1", "dbserver1"], expire)
    assert names(openstack) == ["appnode1", "dbserver1"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{SERVERS}/detail", 429),
        ("GET", f"{SERVERS}/detail", 500),
        ("GET", f"{SERVERS}/detail", 503),
        ("GET", ONE_SERVER, 502),
        ("GET", ".*/networks", 429),
        ("GET", ".*/flavors", 504),
        ("GET", ".*/images", 503),
        ("GET", ".*/security-groups", 500),
        ("POST", SERVERS, 429),
        ("POST", SERVERS, 503),
        ("POST", SERVERS, 500),
        ("POST", ".*/security-groups", 429),
        ("POST", ".*/floatingips", 429),
    ],
)
def test_a_bad_moment_is_waited_through(tmp_path, openstack, sshd, method, path, status):
    cloud = connect(make_settings(tmp_path, openstack, SSH_PORT=sshd, OPENSTACK_FLOATING_IP_POOL="public"))
    openstack.faults += [(method, path, status, refusal(status, "a bad moment"))] * 2
    [server] = cloud.boot(["appnode1"])
    assert server.state == "ACTIVE"
    assert openstack.faults == []
    assert names(openstack) == ["appnode1"]
    assert len(openstack.floating) == 1


def test_retry_after_is_honoured_and_bounded(cloud, openstack, monkeypatch):
    slept = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", slept.append)
    openstack.retry_after = "7"
    openstack.faults.append(("GET", f"{SERVERS}/detail", 429, refusal(429, "slow down")))
    openstack.faults.append(("GET", f"{SERVERS}/detail", 503, refusal(503, "maintenance")))
    cloud.servers()
    openstack.retry_after = "86400"
    openstack.faults.append(("GET", f"{SERVERS}/detail", 429, refusal(429, "come back tomorrow")))
    cloud.servers()
    assert slept == [7, 7, 30]


def test_a_creation_is_tried_again_as_late_as_the_cloud_asks(cloud, openstack, monkeypatch):
    slept = []
    monkeypatch.setattr(Clock, "sleep", lambda _, seconds: slept.append(seconds))
    openstack.retry_after = "7"
    openstack.faults.append(("POST", SERVERS, 503, refusal(503, "maintenance")))
    openstack.faults.append(("POST", SERVERS, 500, refusal(500, "a bad moment")))
    cloud.boot(["appnode1"])
    assert [one for one in slept if one > 0][:2] == [7, 0.01]
    assert names(openstack) == ["appnode1"]


def test_a_cloud_that_stays_busy_is_told(cloud, openstack):
    openstack.faults += [("GET", f"{SERVERS}/detail", 429, refusal(429, "Too many requests"))] * 9
    with pytest.raises(CloudError, match="servers can't be listed") as caught:
        cloud.servers()
    assert caught.value.why == "Too many requests (HTTP 429)"
    assert "wait a minute" in caught.value.hint
    assert len(openstack.faults) == 4  # it was asked five times


def test_an_api_that_is_down_for_a_moment(cloud, openstack, monkeypatch):
    """Down while a server is made, its creation done or not, until a little later: one server comes of it."""
    cloud.servers()
    openstack.cut = (0, True)
    timer = threading.Timer(0.3, lambda: setattr(openstack, "cut", None))
    monkeypatch.setattr("deploymachine.cloud.patience.FIRST_PAUSE", 0.1)
    timer.start()
    told = []
    until = time.monotonic() + 20
    while names(openstack) != ["appnode1"] and time.monotonic() < until:
        try:
            cloud.boot(["appnode1"])
        except CloudError as error:
            told.append(str(error))
    timer.join()
    cloud.boot(["appnode1"])
    assert all("Connection aborted" in text for text in told)
    assert names(openstack) == ["appnode1"]


def test_a_twin_made_by_a_tired_proxy_is_not_kept(cloud, openstack):
    """504 to a creation that was done: the next look finds it, and no second one is made."""
    openstack.done_but.append(("POST", f"{SERVERS}$", 504, refusal(504, "Gateway Time-out")))
    cloud.boot(["appnode1"])
    assert names(openstack) == ["appnode1"]


# -- large and old clouds --------------------------------------------------------------------------------


def test_a_thousand_servers_of_others_in_pages(cloud, openstack):
    openstack.page = 100
    for number in range(1000):
        openstack.add_server(f"pet{number}", {"deploymachine_deployment": "zoo"})
    cloud.boot(["appnode1", "dbserver1"])
    openstack.requests.clear()
    assert [server.name for server in cloud.servers()] == ["appnode1", "dbserver1"]
    assert len(openstack.calls("GET", f"{SERVERS}/detail")) == 11
    cloud.delete(["appnode1", "dbserver1"])
    assert len(openstack.servers) == 1000


@pytest.mark.parametrize("version", ["2.79", "2.46", "2.14", "2.1"])
def test_clouds_years_older_than_todays_boot_heal_and_kill(cloud, openstack, version):
    openstack.max_microversion = version
    [server] = cloud.boot([boot_spec(cloud.settings, "appnode1", flavor="ram >= 4096")])
    assert (server.state, server.image) == ("ACTIVE", "debian-13")
    [listed] = cloud.servers()
    assert (listed.flavor, listed.memory_mb) == ("m1.medium", 4096)
    next(iter(openstack.servers.values()))["status"] = "SHUTOFF"
    cloud.boot(["appnode1"])
    assert cloud.servers().named("appnode1").state == "ACTIVE"
    cloud.delete(["appnode1"])
    assert not openstack.servers
