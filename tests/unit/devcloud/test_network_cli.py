"""The unmodified `openstack` command, in this process: starting one costs two seconds."""

from __future__ import annotations

import contextlib
import io
import json

import pytest

THEIR_WARNINGS = (
    "DeprecationWarning",
    "PendingDeprecationWarning",
    "FutureWarning",
    "openstack.warnings.OpenStackWarning",
)
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in THEIR_WARNINGS]


@pytest.fixture
def cli(service, monkeypatch):
    from openstackclient import shell
    from openstackclient.common.clientmanager import ClientManager
    from osc_lib.clientmanager import ClientCache

    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(service.directory / "clouds.yaml"))
    monkeypatch.setenv("OS_CLOUD", "devcloud")

    def run(line, *, fails=False):
        """What it prints as JSON; with fails, what it complains of."""
        told, errors = io.StringIO(), io.StringIO()
        caches = [kept for owner in ClientManager.__mro__ for kept in vars(owner).values()]
        for kept in caches:  # connections, which a new process would not have
            if isinstance(kept, ClientCache):
                kept._handle = None
        shows = any(word in line.split() for word in ("create", "list", "show"))
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(errors):
            code = shell.main([*line.split(), *(["-f", "json"] if shows else [])])
        assert (code != 0) == fails, errors.getvalue()
        return errors.getvalue() if fails else (json.loads(told.getvalue()) if shows else None)

    return run


def test_networks_subnets_routers_and_ports(cli, service):
    assert cli("network create two")["status"] == "ACTIVE"
    assert cli("subnet create two-subnet --network two --subnet-range 10.88.0.0/24")["gateway_ip"] == "10.88.0.1"
    cli("network set two --description ours")
    assert cli("network show two")["description"] == "ours"
    assert cli("router create r --external-gateway public")["external_gateway_info"]["network_id"]
    cli("router add subnet r two-subnet")
    assert [row["subnet_id"] for row in cli("router show r")["interfaces_info"]] == [
        cli("subnet show two-subnet")["id"]
    ]
    port = cli("port create --network two --fixed-ip ip-address=10.88.0.9 --allowed-address ip-address=10.88.0.200 p")
    assert port["fixed_ips"][0]["ip_address"] == "10.88.0.9"
    assert port["allowed_address_pairs"][0]["ip_address"] == "10.88.0.200"
    assert {row["Name"] for row in cli("port list --network two")} == {"", "p"}
    assert "still in use" in cli("network delete two", fails=True)
    cli("router unset r --external-gateway")
    cli("router remove subnet r two-subnet")
    for line in ("router delete r", "port delete p", "subnet delete two-subnet", "network delete two"):
        cli(line)
    assert {row["Name"] for row in cli("network list")} == {"private", "public"}
    assert "router" in {row["Alias"] for row in cli("extension list --network")}


def test_security_groups(cli, service):
    cli("security group create web --description ours")
    rule = cli("security group rule create web --protocol tcp --dst-port 8000:8080 --remote-ip 10.0.0.0/8")
    assert (rule["port_range_min"], rule["port_range_max"], rule["remote_ip_prefix"]) == (8000, 8080, "10.0.0.0/8")
    assert cli("security group rule create web --remote-group web --protocol any")["protocol"] is None
    assert cli("security group rule create web --protocol icmp --egress")["direction"] == "egress"
    assert len(cli("security group rule list web")) == 5
    cli("security group set web --name www")
    cli(f"security group rule delete {rule['id']}")
    assert len(cli("security group show www")["rules"]) == 4
    cli("security group delete www")


def test_floating_addresses(cli, service, sdk):
    wanted = {"image": "debian-13", "flavor": "m1.tiny", "network": "private", "auto_ip": False, "timeout": 20}
    sdk.create_server("web", wait=True, **wanted)
    address = cli("floating ip create public --description ours")["floating_ip_address"]
    cli(f"server add floating ip web {address}")
    assert service.machines.floating == [(address, "10.9.0.2")]
    assert cli(f"floating ip show {address}")["status"] == "ACTIVE"
    cli(f"server remove floating ip web {address}")
    assert service.machines.floating == []
    port = cli("port list --server web")[0]["ID"]
    cli(f"floating ip set --port {port} {address}")
    assert cli("floating ip list --long")[0]["Fixed IP Address"] == "10.9.0.2"
    cli(f"floating ip unset --port {address}")
    cli(f"floating ip delete {address}")
    assert cli("floating ip list") == []


def test_interfaces_and_groups_of_a_server(cli, service, sdk):
    wanted = {"image": "debian-13", "flavor": "m1.tiny", "network": "private", "auto_ip": False, "timeout": 20}
    sdk.create_server("web", wait=True, **wanted)
    cli("network create two")
    cli("subnet create two-subnet --network two --subnet-range 10.88.0.0/24")
    cli("server add network web two")
    assert cli("server show web")["addresses"] == {"private": ["10.9.0.2"], "two": ["10.88.0.2"]}
    cli("server remove network web two")
    cli("server add fixed ip web two --fixed-ip-address 10.88.0.7")
    assert cli("server show web")["addresses"]["two"] == ["10.88.0.7"]
    cli("security group create www")
    cli("server add security group web www")
    assert {row["name"] for row in cli("server show web")["security_groups"]} == {"default", "www"}
    cli("server remove security group web www")


def test_quotas_and_limits(cli, service):
    cli("quota set --instances 5 --floating-ips 2 --ports 30 devcloud")
    rows = {row["Resource"]: row["Limit"] for row in cli("quota show")}
    assert (rows["instances"], rows["floating_ips"], rows["ports"]) == (5, 2, 30)
    usage = {row["Resource"]: row["In Use"] for row in cli("quota show --usage")}
    assert usage["ports"] == 1
    limits = {row["Name"]: row["Value"] for row in cli("limits show --absolute")}
    assert limits["instances"] == 5
    cli("floating ip create public")
    cli("floating ip create public")
    assert "Quota exceeded for resources: ['floatingip']." in cli("floating ip create public", fails=True)
