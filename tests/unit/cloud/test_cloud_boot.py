import base64

import pytest
import yaml

from deploymachine.cloud import BootSpec, boot_spec, connect
from deploymachine.errors import CloudError, UsageError
from deploymachine.hostkeys import HostKeys
from tests.unit.cloud.fake_openstack import KEY, image, make_settings

BOTH = ["appnode1", "dbserver1"]


def names(openstack):
    return sorted(server["name"] for server in openstack.servers.values())


def phases(seen, name):
    return [phase for who, phase in seen if who == name]


def boot(cloud, wanted=BOTH, **more):
    seen = []
    return cloud.boot(wanted, lambda name, phase: seen.append((name, phase)), **more), seen


def test_boot_makes_the_servers_and_waits_until_ssh_answers(cloud, openstack):
    servers, seen = boot(cloud)
    assert [(s.name, s.type, s.state, s.flavor, s.image, s.memory_mb, s.cpus) for s in servers] == [
        ("appnode1", "appnode", "ACTIVE", "m1.small", "debian-13", 2048, 1),
        ("dbserver1", "dbserver", "ACTIVE", "m1.medium", "debian-13", 4096, 2),
    ]
    assert phases(seen, "appnode1") == phases(seen, "dbserver1") == ["BUILD", "ACTIVE", "cloud-init", "SSH"]
    assert [s.name for s in cloud.servers()] == BOTH
    assert all(server.private_ip.startswith("127.77.") and server.public_ip == "" for server in servers)


def test_user_data_lets_root_in_with_the_admin_keys_and_holds_the_pinned_host_key(cloud, openstack, settings):
    [server], _ = boot(cloud, ["appnode1"])
    asked = next(iter(openstack.servers.values()))["asked"]
    text = base64.b64decode(asked["user_data"]).decode()
    assert text.startswith("#cloud-config\n")
    config = yaml.safe_load(text)
    assert config["disable_root"] is False
    assert config["ssh_authorized_keys"] == [KEY]
    assert config["ssh_keys"]["ed25519_private"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert config["ssh_deletekeys"] is True
    public = config["ssh_keys"]["ed25519_public"].rsplit(" ", 1)[0]
    pinned = HostKeys(settings)
    assert pinned.get(server.address, 22) == pinned.get(server.address, settings.SSH_PORT) == public
    assert asked["metadata"] == {
        "deploymachine_deployment": "guestbook",
        "deploymachine_type": "appnode",
        "deploymachine_image": "debian-13",
        "deploymachine_network": "private",
        "deploymachine_hostkey": public,
    }


def test_a_second_boot_keeps_what_is_there(cloud, openstack):
    boot(cloud)
    before = names(openstack), dict(openstack.rules)
    servers, seen = boot(cloud)
    assert (names(openstack), openstack.rules) == before
    assert sorted(seen) == [("appnode1", "exists"), ("dbserver1", "exists")]
    assert [server.name for server in servers] == BOTH
    assert len(openstack.calls("POST", "/compute/v2.1/servers")) == 2


def test_an_interrupted_boot_goes_on_where_it_was(cloud, openstack, settings):
    made = openstack.add_server(
        "appnode1",
        {
            "deploymachine_deployment": "guestbook",
            "deploymachine_type": "appnode",
            "deploymachine_hostkey": KEY,
        },
        status="BUILD",
    )
    servers, seen = boot(cloud)
    assert names(openstack) == BOTH
    assert phases(seen, "appnode1") == ["BUILD", "ACTIVE", "cloud-init", "SSH"]
    assert servers[0].id == made["id"]
    assert HostKeys(settings).get(servers[0].address, 22) == KEY.removesuffix(" admin")


def test_a_key_pinned_later_is_not_replaced_by_the_one_made_at_boot(cloud, settings):
    [server], _ = boot(cloud, ["appnode1"])
    HostKeys(settings).pin("appnode1", server.address, 22, "ssh-ed25519 AAAAmadeontheserver")
    boot(cloud, ["appnode1"])
    assert HostKeys(settings).get(server.address, 22) == "ssh-ed25519 AAAAmadeontheserver"


def test_ctrl_c_ends_the_boot_and_a_repeat_completes_it(cloud, openstack):
    def interrupt(name, phase):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cloud.boot(BOTH, interrupt)
    boot(cloud)
    assert names(openstack) == BOTH


def test_a_lost_answer_to_create_makes_no_second_server(cloud, openstack):
    openstack.drop_after.append(("POST", "/compute/v2.1/servers"))
    boot(cloud, ["appnode1"])
    assert names(openstack) == ["appnode1"]


@pytest.mark.parametrize(
    ("wrong", "what", "why"),
    [
        ({"OPENSTACK_IMAGE": "debain-13"}, "There is no image 'debain-13'; did you mean 'debian-13'?", "debian-12"),
        ({"OPENSTACK_NETWORK": "privat"}, "There is no network 'privat'; did you mean 'private'?", "private, public"),
        (
            {"OPENSTACK_FLOATING_IP_POOL": "pubic"},
            "There is no floating IP pool 'pubic'; did you mean 'public'?",
            "public",
        ),
        (
            {"OPENSTACK_SERVERS": {"appnode": [("appnode1", "m1.smal")], "dbserver": [("dbserver1", "m1.small")]}},
            "There is no flavor 'm1.smal'; did you mean 'm1.small'?",
            "m1.large, m1.medium, m1.small",
        ),
    ],
)
def test_a_misspelt_name_makes_nothing(tmp_path, openstack, wrong, what, why):
    cloud = connect(make_settings(tmp_path, openstack, **wrong))
    with pytest.raises(CloudError) as caught:
        boot(cloud)
    assert caught.value.what == what
    assert why in caught.value.why
    assert "settings.py" in caught.value.hint
    assert not openstack.servers
    assert not openstack.groups


def test_several_networks_and_none_named(cloud, openstack):
    openstack.networks.append({**openstack.networks[0], "id": "other", "name": "backend"})
    with pytest.raises(CloudError, match="Which network") as caught:
        boot(cloud)
    assert caught.value.why.endswith("backend, private")
    assert not openstack.servers


def test_the_newest_of_several_images_of_a_name(cloud, openstack):
    newest = image("debian-13", created="2026-06-01T00:00:00Z")
    openstack.images += [newest, image("debian-13", created="2025-06-01T00:00:00Z")]
    boot(cloud, ["appnode1"])
    assert next(iter(openstack.servers.values()))["asked"]["imageRef"] == newest["id"]


def test_one_that_fails_stops_no_other_and_is_told_in_the_clouds_words(cloud, openstack):
    openstack.build_errors["dbserver1"] = "No valid host was found. There are not enough hosts available."
    with pytest.raises(CloudError) as caught:
        boot(cloud)
    assert caught.value.what == "1 of 2 servers did not come up: dbserver1"
    assert any("No valid host was found" in line for line in caught.value.evidence)
    assert {s.name: s.state for s in cloud.servers()} == {"appnode1": "ACTIVE", "dbserver1": "ERROR"}


def test_quota(cloud, openstack):
    message = "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances"
    openstack.faults.append(("POST", "/compute/v2.1/servers", 403, {"forbidden": {"code": 403, "message": message}}))
    with pytest.raises(CloudError) as caught:
        boot(cloud, ["appnode1"])
    assert caught.value.what == "The cloud does not boot appnode1"
    assert caught.value.why == f"{message} (HTTP 403)"
    assert "quota show" in caught.value.hint


def test_an_existing_server_in_error_is_told_with_its_fault(cloud, openstack):
    openstack.build_errors["appnode1"] = "Build of instance aborted"
    for _ in range(2):
        with pytest.raises(CloudError) as caught:
            boot(cloud, ["appnode1"])
        assert (caught.value.what, caught.value.why) == ("appnode1 ended in ERROR", "Build of instance aborted")
        assert "openstack_kill appnode1" in caught.value.hint


def test_a_bad_moment_of_the_cloud_is_waited_through(cloud, openstack):
    openstack.builds_for = 3
    one_server = "/compute/v2.1/servers/[0-9a-f]{8}-"  # and not /servers/detail
    openstack.faults += [("GET", one_server, 500, {}), ("GET", one_server, 502, {}), ("GET", ".*/networks", 429, {})]
    servers, _ = boot(cloud, ["appnode1"])
    assert servers[0].state == "ACTIVE"
    assert openstack.faults == []


def test_a_server_that_never_answers_shows_its_console(tmp_path, openstack, monkeypatch):
    monkeypatch.setattr("deploymachine.cloud.banner.answering_port", lambda *_: None)
    settings = make_settings(tmp_path, openstack)
    cloud = connect(settings.model_copy(update={"OPENSTACK_BOOT_TIMEOUT": 0.2}))
    with pytest.raises(CloudError) as caught:
        boot(cloud, ["appnode1"])
    assert caught.value.what == "appnode1 is ACTIVE but SSH does not answer"
    assert caught.value.evidence == ("booting", "login:")
    assert boot(cloud, ["appnode1"], wait_for_ssh=False)[0][0].state == "ACTIVE"


def test_floating_ips_are_attached_kept_and_reused(tmp_path, openstack, sshd):
    cloud = connect(make_settings(tmp_path, openstack, SSH_PORT=sshd, OPENSTACK_FLOATING_IP_POOL="public"))
    openstack.lists_floating_after = 5
    left_over = {"id": "left", "floating_ip_address": "127.88.0.99", "port_id": None, "status": "DOWN"}
    openstack.floating["left"] = {**left_over, "description": "deploymachine:guestbook/dbserver1"}
    openstack.floating["foreign"] = {**left_over, "id": "foreign", "description": "somebody else's"}
    servers, _ = boot(cloud)
    assert servers[1].public_ip == "127.88.0.99"
    assert servers[0].public_ip.startswith("127.88.0.")
    assert openstack.floating["foreign"]["port_id"] is None
    assert [server.public_ip for server in cloud.servers()] == [server.public_ip for server in servers]
    before = dict(openstack.floating)
    assert [s.public_ip for s in boot(cloud)[0]] == [s.public_ip for s in servers] == [s.address for s in servers]
    assert openstack.floating == before
    cloud.delete(BOTH)
    assert list(openstack.floating) == ["foreign"]


def test_two_servers_of_one_name_are_told_not_guessed(cloud, openstack):
    for _ in range(2):
        openstack.add_server("appnode1", {"deploymachine_deployment": "guestbook", "deploymachine_type": "appnode"})
    with pytest.raises(CloudError, match="two servers 'appnode1'"):
        boot(cloud, ["appnode1"])
    cloud.delete(["appnode1"])
    assert not openstack.servers


def test_boot_spec_takes_what_settings_and_the_name_tell(settings):
    assert boot_spec(settings, "dbserver1") == BootSpec("dbserver1", "dbserver", "m1.medium")
    assert boot_spec(settings, "appnode2") == BootSpec("appnode2", "appnode", "m1.small")
    assert boot_spec(settings, "web", type="appnode", flavor="m1.large") == BootSpec("web", "appnode", "m1.large")
    with pytest.raises(UsageError, match="no server type 'apnode'; did you mean 'appnode'") as caught:
        boot_spec(settings, "apnode2")
    assert "appnode, dbserver, loadbalancer" in caught.value.why
    with pytest.raises(UsageError, match="Which flavor is loadbalancer1"):
        boot_spec(settings, "loadbalancer1")
    with pytest.raises(UsageError, match="can't be a server's name"):
        boot_spec(settings, "app_node2")
