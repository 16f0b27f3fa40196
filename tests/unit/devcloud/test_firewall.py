"""Rules as values, and what nftables makes of them: the text is checked by nft itself where it may be asked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from deploymachine.devcloud.firewall import Guard, Wire, Wiring, Zone, matches, ruleset
from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.state import Rule

SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS]
LAYOUT = Layout(Path("/x"), Path("/x"), 1, "10.9.0.0/24", "10.19.0.0/24", "p", "s", 1400)
GROUP, OTHER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
RULE = Rule("r", GROUP, "ingress")
WIRING = Wiring(
    gateways=("10.9.0.1/32",),
    zones=(Zone("10.9.0.0/24", ("10.8.0.0/24",), True), Zone("10.8.0.0/24", ("10.9.0.0/24",)), Zone("10.7.0.0/24")),
    wires=(
        Wire(1, "10.9.0.0/24", (("fa:16:3e:00:00:05", "10.9.0.2"), ("fa:16:3e:00:00:05", "10.9.0.64/26")), (GROUP,)),
        Wire(2, "10.8.0.0/24", (("fa:16:3e:00:00:06", "10.8.0.2"),), ()),
        Wire(3, "10.7.0.0/24", (("fa:16:3e:00:00:07", "10.7.0.3"),), None),
    ),
    guards=(
        Guard(GROUP, (replace(RULE, protocol="tcp", port_min=22, port_max=22),), ("10.9.0.2", "10.9.0.64/26")),
        Guard(OTHER, (replace(RULE, group_id=OTHER, remote_group_id=GROUP),)),
    ),
    floating=(("10.19.0.3", "10.9.0.2"),),
    outer=("10.19.0.0/24",),
    front="10.19.0.254",
)


def chain(name: str, text: str) -> list[str]:
    found = re.search(rf"^chain {re.escape(name)} {{\n(.*?)^}}", text, re.MULTILINE | re.DOTALL)
    assert found, name
    return found[1].splitlines()


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, ""),
        ({"protocol": "tcp", "port_min": 80, "port_max": 443}, "meta l4proto 6 th dport 80-443"),
        ({"protocol": "17", "port_min": 53, "port_max": 53}, "meta l4proto 17 th dport 53-53"),
        ({"protocol": "tcp"}, "meta l4proto 6"),
        ({"protocol": "icmp"}, "meta l4proto 1"),
        ({"protocol": "icmp", "port_min": 8}, "meta l4proto 1 icmp type 8"),
        ({"protocol": "icmp", "port_min": 8, "port_max": 0}, "meta l4proto 1 icmp type 8 icmp code 0"),
        ({"protocol": "vrrp"}, "meta l4proto 112"),
        ({"prefix": "10.1.2.3/8"}, "ip saddr 10.0.0.0/8"),
        ({"prefix": "0.0.0.0/0", "direction": "egress"}, "ip daddr 0.0.0.0/0"),
        ({"remote_group_id": OTHER}, f"ip saddr @members-{OTHER}"),
    ],
)
def test_a_rule_matches_as_neutron_means_it(facts, text):
    assert matches(replace(RULE, **facts)) == text


def test_a_port_lets_in_what_its_groups_say_and_sends_from_its_own_addresses():
    text = ruleset(LAYOUT, WIRING, None)
    assert chain("from-1", text)[1] == (
        "ether saddr . ip saddr != { fa:16:3e:00:00:05 . 10.9.0.2, fa:16:3e:00:00:05 . 10.9.0.64/26 } drop"
    )
    assert chain("from-1", text)[-2:] == [f"jump egress-{GROUP}", "drop"]
    assert chain("to-1", text)[-2:] == [f"jump ingress-{GROUP}", "drop"]
    assert chain(f"ingress-{GROUP}", text) == ["meta l4proto 6 th dport 22-22 accept"]
    assert chain("from-3", text) == ["accept"]  # without port security


def test_a_port_of_no_group_answers_only():
    text = ruleset(LAYOUT, WIRING, None)
    assert chain("to-2", text)[-4:] == ["ct direction reply accept", "ct state related accept", *INVALID, "drop"]


INVALID = ["ct state invalid drop"]


def test_rules_for_ipv6_open_nothing():
    wiring = replace(WIRING, guards=(Guard(GROUP, (replace(RULE, ethertype="IPv6"),)),))
    assert chain(f"ingress-{GROUP}", ruleset(LAYOUT, wiring, None)) == []


def test_networks_that_no_router_joins_are_apart():
    text = ruleset(LAYOUT, WIRING, None)
    assert "ip daddr { 10.9.0.0/24, 10.8.0.0/24 } accept" in chain("zone-10-9-0-0-24", text)
    assert "ip daddr { 10.7.0.0/24 } drop" in chain("zone-10-9-0-0-24", text)
    assert chain("zone-10-7-0-0-24", text)[-1] == "drop"


def test_a_link_that_no_port_has_lets_nothing_pass():
    text = ruleset(LAYOUT, Wiring(), None)
    assert f'iifname "dc{LAYOUT.tag}-*" drop' in chain("sent", text)
    assert f'oifname "dc{LAYOUT.tag}-*" drop' in chain("given", text)


def test_machines_do_not_reach_this_machines_loopback():
    """Links route to it so that DNS can be led there."""
    assert (
        chain("sent", ruleset(LAYOUT, WIRING, "127.0.0.53"))[1]
        == f'iifname "dc{LAYOUT.tag}-*" ip daddr 127.0.0.0/8 drop'
    )


def test_unguarded_wiring_only_translates():
    text = ruleset(LAYOUT, Wiring(floating=(("10.19.0.3", "10.9.0.2"),), unguarded=True), None)
    assert "drop" not in text
    assert "ip daddr 10.19.0.3 dnat ip to 10.9.0.2" in chain("output", text)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="nft asks the kernel, which answers root only")
@pytest.mark.parametrize("wiring", [WIRING, Wiring(), replace(WIRING, unguarded=True)])
def test_nftables_takes_it(wiring):
    """Checked, not loaded."""
    text = ruleset(LAYOUT, wiring, "127.0.0.53")
    done = subprocess.run(["nft", "-c", "-f", "-"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_in_force_in_the_end_is_what_was_said_last(service, sdk):
    """However many change something at once, with servers coming and going meanwhile."""
    networking, machines = service.cloud.networking, service.machines
    group = networking.create_group("busy")
    wanted = {"image": "debian-13", "flavor": "m1.tiny", "network": "private", "auto_ip": False, "wait": False}

    def change(number: int) -> None:
        for port in range(1, 11):
            rule = replace(RULE, id=f"{number}-{port}", group_id=group.id, protocol="tcp", port_min=port, port_max=port)
            networking.create_rule(replace(rule, prefix=f"10.{number}.0.0/16"))
            if port % 2:
                networking.delete_rule(rule.id)

    def boot(number: int) -> None:
        sdk.delete_server(sdk.create_server(f"web{number}", **wanted).id)

    with ThreadPoolExecutor(8) as pool:
        done = [*(pool.submit(change, number) for number in range(5)), *(pool.submit(boot, n) for n in range(3))]
        for one in done:
            one.result(60)
    _wait_until(lambda: not sdk.list_servers())
    assert machines.wiring == networking.wiring()
    assert len(networking.rules(group.id)) == 2 + 5 * 5


def _wait_until(true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
