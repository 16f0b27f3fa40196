"""Security groups: made of the same facts as the servers' own firewalls, kept right, others' never touched."""

from datetime import datetime, timedelta, timezone

import pytest

from deploymachine import servertypes
from deploymachine.cloud import BootSpec, connect
from deploymachine.inventory import Inventory, Server
from deploymachine.secrets import Secrets
from deploymachine.servertypes import Deployment
from tests.unit.cloud.fake_openstack import make_settings

SITES = {"blog": {"repository": "blog", "wsgi": "blog.wsgi:application", "settings_module": "blog.settings"}}
SERVERS = {
    "loadbalancer": [("loadbalancer1", "m1.small")],
    "appnode": [("appnode1", "m1.small")],
    "dbserver": [("dbserver1", "m1.small")],
}
ALL = [name for servers in SERVERS.values() for name, _ in servers]


@pytest.fixture
def settings(tmp_path, openstack, sshd):
    return make_settings(tmp_path, openstack, SSH_PORT=sshd, OPENSTACK_SERVERS=SERVERS, SITES=SITES)


def ids(openstack):
    return {group["name"]: group["id"] for group in openstack.groups.values()}


def lets_in(openstack, name, ethertype="IPv4"):
    """(port or protocol, group or prefix that may come) of each rule of a group."""
    by_id = {group["id"]: group["name"] for group in openstack.groups.values()}
    mine = [r for r in openstack.rules.values() if r["security_group_id"] == ids(openstack)[name]]
    return {
        (r["port_range_min"] or r["protocol"], by_id.get(r["remote_group_id"]) or r["remote_ip_prefix"])
        for r in mine
        if r["ethertype"] == ethertype
    }


def carried(openstack, server):
    names = {identity: name for name, identity in ids(openstack).items()}
    [port] = next(one for one in openstack.servers.values() if one["name"] == server)["_ports"]
    return [names[one] for one in port["security_groups"]]


def test_each_type_lets_in_whom_its_firewall_lets_in(cloud, openstack, settings):
    cloud.boot(ALL)
    base = "deploymachine-guestbook"
    assert set(ids(openstack)) == {base, f"{base}-loadbalancer", f"{base}-appnode", f"{base}-dbserver"}
    for ethertype, ping in (("IPv4", "icmp"), ("IPv6", "ipv6-icmp")):
        assert lets_in(openstack, base, ethertype) == {(22, None), (settings.SSH_PORT, None), (ping, None)}
        assert lets_in(openstack, f"{base}-loadbalancer", ethertype) == {(80, None), (443, None)}
        assert lets_in(openstack, f"{base}-appnode", ethertype) == {(8000, f"{base}-loadbalancer")}
        assert lets_in(openstack, f"{base}-dbserver", ethertype) == {(5432, f"{base}-appnode")}
    for name in ALL:
        assert carried(openstack, name) == [base, f"{base}-{name.rstrip('1')}"]


def test_group_rules_and_host_rules_say_the_same(cloud, openstack, settings):
    """For every server, port and peer: let in by the group exactly where it is let in by the host's own firewall."""
    servers = cloud.boot(ALL)
    deployment = Deployment(settings, Inventory(servers), Secrets(settings.state / "secrets.json"))
    for server in servers:
        group = f"deploymachine-guestbook-{server.type}"
        by_host = {
            (rule["port"], peer.name)
            for rule in servertypes.firewall_rules(server, deployment)
            for peer in servers
            if not rule["sources"] or peer.private_ip in rule["sources"]
        }
        by_group = {
            (port, peer.name)
            for port, sender in lets_in(openstack, group)
            for peer in servers
            if sender in (None, f"deploymachine-guestbook-{peer.type}")
        }
        assert by_group == by_host


def test_a_machine_of_no_type_is_in_everybodys_group_alone(cloud, openstack):
    cloud.boot([BootSpec("cookbook-test", "base", "m1.small")])
    assert carried(openstack, "cookbook-test") == ["deploymachine-guestbook"]


def test_a_combined_type_lets_in_for_all_its_parts(tmp_path, openstack, sshd, monkeypatch):
    monkeypatch.setattr(servertypes, "names", lambda: ("appbalancer", "appnode", "dbserver", "loadbalancer"))
    named = {"appbalancer": [("appbalancer1", "m1.small")], "dbserver": [("dbserver1", "m1.small")]}
    cloud = connect(make_settings(tmp_path, openstack, SSH_PORT=sshd, OPENSTACK_SERVERS=named, SITES=SITES))
    cloud.boot(["appbalancer1", "dbserver1"])
    group = "deploymachine-guestbook-appbalancer"
    assert lets_in(openstack, group) == {(80, None), (443, None), (8000, group)}
    assert lets_in(openstack, "deploymachine-guestbook-dbserver") == {(5432, group)}


def test_servers_on_no_openstack_are_let_in_by_address(tmp_path, openstack, sshd):
    named = {"dbserver": [("dbserver1", "m1.small")]}
    there = {"appnode": [{"name": "old1", "ip": "192.0.2.7"}, {"name": "old2", "ip": "2001:db8::7"}]}
    cloud = connect(make_settings(tmp_path, openstack, SSH_PORT=sshd, OPENSTACK_SERVERS=named, SERVERS=there))
    cloud.boot(["dbserver1"])
    assert lets_in(openstack, "deploymachine-guestbook-dbserver") == {(5432, "192.0.2.7/32")}
    assert lets_in(openstack, "deploymachine-guestbook-dbserver", "IPv6") == {(5432, "2001:db8::7/128")}


def test_missing_rules_come_back_and_a_second_boot_changes_nothing(cloud, openstack):
    cloud.boot(ALL)
    count = len(openstack.rules)
    openstack.rules.pop(next(iter(openstack.rules)))
    cloud.boot(ALL)
    assert len(openstack.rules) == count
    before = len(openstack.requests)
    cloud.boot(ALL)
    assert {method for method, _, _ in openstack.requests[before:]} == {"GET"}


def test_rules_of_ours_that_no_longer_hold_go_and_hand_made_ones_stay(tmp_path, openstack, sshd, cloud):
    cloud.boot(ALL)
    group = ids(openstack)["deploymachine-guestbook-appnode"]
    by_hand = openstack.add_rule(
        group, direction="ingress", ethertype="IPv4", protocol="tcp", port_range_min=9100, port_range_max=9100
    )
    openstack.add_rule(group, direction="egress", ethertype="IPv4")
    moved = {"blog": {**SITES["blog"], "port": 8001}}
    later = connect(make_settings(tmp_path, openstack, SSH_PORT=sshd, OPENSTACK_SERVERS=SERVERS, SITES=moved))
    later.keep_groups()
    assert lets_in(openstack, "deploymachine-guestbook-appnode") == {
        (8001, "deploymachine-guestbook-loadbalancer"),
        (9100, None),
        (None, None),  # what goes out
    }
    assert by_hand["id"] in openstack.rules


def test_nothing_is_closed_before_every_server_is_in_its_new_group(cloud, openstack):
    cloud.boot(ALL)
    old = ids(openstack)["deploymachine-guestbook"]
    for server in openstack.servers.values():
        server["_ports"][0]["security_groups"] = [old]
    rule = {"direction": "ingress", "ethertype": "IPv4", "remote_group_id": old}
    openstack.add_rule(old, **rule, description="deploymachine: no longer wanted")
    openstack.requests.clear()
    cloud.keep_groups()
    changes = [(method, path.split("/")[3]) for method, path, _ in openstack.requests if method != "GET"]
    assert changes == [("PUT", "ports")] * 3 + [("DELETE", "security-group-rules")]


def test_others_groups_are_never_touched(cloud, openstack):
    """Even where a deployment's name makes its group look like ours."""
    foreign = openstack.add_group(
        "deploymachine-guestbook-appnode", "deployment guestbook-appnode, kept by deploymachine"
    )
    openstack.add_rule(foreign["id"], direction="ingress", ethertype="IPv4", protocol="tcp")
    before = {key: dict(rule) for key, rule in openstack.rules.items()}
    cloud.boot(ALL)
    cloud.delete(ALL)
    assert list(openstack.groups) == [foreign["id"]]
    assert {key: openstack.rules[key] for key in before} == before


def test_with_a_types_last_server_goes_its_group(cloud, openstack):
    cloud.boot(ALL)
    cloud.delete(["appnode1"])
    assert set(ids(openstack)) == {f"deploymachine-guestbook{end}" for end in ("", "-loadbalancer", "-dbserver")}


def test_the_hosts_own_rules_are_what_they_were(settings):
    def server(name, kind, number):
        return Server(name, kind, private_ip=f"10.0.0.{number}")

    inventory = Inventory(
        [server("lb1", "loadbalancer", 3), server("app1", "appnode", 4), server("db1", "dbserver", 5)]
    )
    deployment = Deployment(settings, inventory, Secrets(settings.state / "secrets.json"))
    rules = {one.type: servertypes.firewall_rules(one, deployment) for one in inventory}
    assert rules == {
        "loadbalancer": [
            {"port": 80, "protocol": "tcp", "sources": [], "comment": "http: redirects to https"},
            {"port": 443, "protocol": "tcp", "sources": [], "comment": "https"},
        ],
        "appnode": [{"port": 8000, "protocol": "tcp", "sources": ["10.0.0.3"], "comment": "site blog"}],
        "dbserver": [
            {"port": 5432, "protocol": "tcp", "sources": ["10.0.0.4"], "comment": "PostgreSQL for the appnodes"}
        ],
    }


def test_what_is_about_to_be_booted_elsewhere_is_not_forgotten(cloud, openstack):
    """A boot has made its groups, its servers are not there yet; meanwhile somebody cooks what is there."""
    cloud.boot(["appnode1"])
    during = []

    def look(name, phase):
        if phase == "BUILD":
            cloud.keep_groups()
            during.append(lets_in(openstack, "deploymachine-guestbook-appnode"))

    cloud.boot(["loadbalancer1"], look)
    assert during == [{(8000, "deploymachine-guestbook-loadbalancer")}]


def test_a_port_that_was_opened_for_a_while_stays_so_long_and_then_goes(cloud, openstack):
    cloud.boot(ALL)
    group = "deploymachine-guestbook-appnode"
    declared = lets_in(openstack, group)
    later, before = (datetime.now(timezone.utc) + timedelta(minutes=minutes) for minutes in (5, -5))
    cloud.open_for_a_while(["appnode"], 8090, "tcp", ["192.0.2.7/32", "2001:db8::/32"], later)
    cloud.keep_groups()
    assert lets_in(openstack, group) == declared | {(8090, "192.0.2.7/32")}
    assert (8090, "2001:db8::/32") in lets_in(openstack, group, "IPv6")
    cloud.open_for_a_while(["appnode"], 8090, "tcp", ["192.0.2.7/32", "2001:db8::/32"], before)
    assert len([rule for rule in openstack.rules.values() if rule["port_range_min"] == 8090]) == 2
    cloud.keep_groups()
    assert lets_in(openstack, group) == declared
    assert (8090, "2001:db8::/32") not in lets_in(openstack, group, "IPv6")
