"""Networks, subnets, ports and routers over real HTTP, with the real SDK: what Neutron allows and how it refuses."""

from __future__ import annotations

import pytest
import requests
from openstack import exceptions

SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS]
WANTED = {"image": "debian-13", "flavor": "m1.tiny", "auto_ip": False, "timeout": 20, "wait": True}


@pytest.fixture
def net(sdk):
    return sdk.network


@pytest.fixture
def ask(service, sdk):
    """A raw request to Neutron: its status, and its error's type and message."""

    def one(method, path, body=None):
        url, headers = f"{service.layout.url}/network/v2.0{path}", {"X-Auth-Token": sdk.auth_token}
        answer = requests.request(method, url, json=body, headers=headers, timeout=10)
        error = answer.json().get("NeutronError", {}) if answer.content else {}
        return answer.status_code, error.get("type"), error.get("message")

    return one


@pytest.fixture
def second(net):
    network = net.create_network(name="second", description="for tests")
    return network, net.create_subnet(network_id=network.id, ip_version=4, cidr="10.88.0.0/24", name="second-subnet")


def wire(service, address):
    """What the rules know of the port with that address."""
    return next((one for one in service.machines.wiring.wires if one.senders[0][1] == address), None)


def test_a_network_and_its_subnet_are_made_changed_and_deleted(service, net, second):
    network, subnet = second
    assert (network.description, network.is_port_security_enabled, network.status) == ("for tests", True, "ACTIVE")
    assert (subnet.gateway_ip, subnet.allocation_pools) == ("10.88.0.1", [{"start": "10.88.0.2", "end": "10.88.0.254"}])
    assert "10.88.0.1/32" in service.machines.gateways
    assert net.update_network(network, name="renamed").name == "renamed"
    changed = net.update_subnet(subnet, dns_nameservers=["192.0.2.1"], gateway_ip=None)
    assert (changed.dns_nameservers, changed.gateway_ip) == (["192.0.2.1"], None)
    assert "10.88.0.1/32" not in service.machines.gateways
    net.delete_subnet(subnet)
    net.delete_network(network)
    assert net.find_network("renamed") is None
    assert [zone.cidr for zone in service.machines.wiring.zones] == ["10.9.0.0/24"]


@pytest.mark.parametrize(
    ("body", "status", "kind", "words"),
    [
        ({"cidr": "10.88.0.0/33"}, 400, "HTTPBadRequest", "'10.88.0.0/33' is not a valid IP subnet."),
        ({"cidr": "10.88.0.1/24"}, 400, "HTTPBadRequest", "'10.88.0.0/24' is recommended"),
        ({"cidr": "10.9.0.0/25"}, 400, "InvalidInput", "overlaps with another subnet."),
        ({"cidr": "10.88.0.0/24", "gateway_ip": "10.89.0.1"}, 400, "InvalidInput", "Gateway is not valid on subnet."),
        ({"cidr": "10.88.0.0/24", "ip_version": 6}, 400, "InvalidInput", "IPv4 only"),
        ({"cidr": "10.88.0.0/24", "network_id": "nope"}, 404, "NetworkNotFound", "Network nope could not be found."),
        ({}, 400, "HTTPBadRequest", "Required attribute 'cidr' not specified"),
        ({"cidr": "10.88.0.0/24", "colour": "red"}, 400, "HTTPBadRequest", "Unrecognized attribute(s) 'colour'"),
        ({"cidr": "10.88.0.0/24", "enable_dhcp": "perhaps"}, 400, "HTTPBadRequest", "cannot be converted to boolean"),
        (
            {"cidr": "10.88.0.0/24", "allocation_pools": [{"start": "10.89.0.2", "end": "10.89.0.9"}]},
            400,
            "OutOfBoundsAllocationPool",
            "The allocation pool 10.89.0.2-10.89.0.9 spans beyond the subnet cidr 10.88.0.0/24.",
        ),
    ],
)
def test_a_bad_subnet_is_refused_in_neutrons_words(net, ask, body, status, kind, words):
    network = net.create_network(name="bare")
    told = ask("POST", "/subnets", {"subnet": {"network_id": network.id, "ip_version": 4, **body}})
    assert told[:2] == (status, kind)
    assert words in told[2]
    assert [subnet.name for subnet in net.subnets()] == ["private-subnet", "public-subnet"]


def test_a_network_in_use_and_a_providers_network_stay(net, ask, second):
    network, subnet = second
    port = net.create_port(network_id=network.id)
    status, kind, words = ask("DELETE", f"/networks/{network.id}")
    assert (status, kind) == (409, "NetworkInUse")
    assert words.endswith(f"id for these ports is: {port.id}.")
    assert ask("DELETE", f"/subnets/{subnet.id}")[:2] == (409, "SubnetInUse")
    public = net.find_network("public")
    assert ask("DELETE", f"/networks/{public.id}")[:2] == (403, "PolicyNotAuthorized")
    assert ask("PUT", f"/networks/{public.id}", {"network": {"name": "mine"}})[:2] == (403, "PolicyNotAuthorized")
    assert ask("POST", "/networks", {"network": {"router:external": True}})[:2] == (403, "PolicyNotAuthorized")


def test_addresses_come_from_the_pool_and_run_out(net, ask):
    network = net.create_network(name="small")
    pool = [{"start": "10.88.0.7", "end": "10.88.0.8"}]
    net.create_subnet(network_id=network.id, ip_version=4, cidr="10.88.0.0/24", allocation_pools=pool)
    ports = [net.create_port(network_id=network.id) for _ in range(2)]
    assert [port.fixed_ips[0]["ip_address"] for port in ports] == ["10.88.0.7", "10.88.0.8"]
    told = ask("POST", "/ports", {"port": {"network_id": network.id}})
    assert told == (
        409,
        "IpAddressGenerationFailure",
        f"No more IP addresses available on network {network.id}.",
    )


def test_a_port_made_beforehand_is_what_a_server_gets(service, sdk, net, second):
    network, subnet = second
    group = net.create_security_group(name="web")
    fixed = [{"subnet_id": subnet.id, "ip_address": "10.88.0.50"}]
    port = net.create_port(network_id=network.id, name="mine", fixed_ips=fixed, security_groups=[group.id])
    assert (port.status, port.device_owner) == ("DOWN", "")
    server = sdk.create_server("web", nics=[{"port-id": port.id}], **WANTED)
    port = net.get_port(port.id)
    assert (port.status, port.device_id, port.device_owner) == ("ACTIVE", server.id, "compute:nova")
    assert service.machines.booted[server.id].plug.address == "10.88.0.50/24"
    assert wire(service, "10.88.0.50").groups == (group.id,)
    with pytest.raises(exceptions.ConflictException, match="port is already bound"):
        net.update_port(port, mac_address="fa:16:3e:00:00:99")
    with pytest.raises(exceptions.ConflictException, match=f"Port {port.id} is still in use"):
        sdk.create_server("other", nics=[{"port-id": port.id}], **WANTED)
    sdk.delete_server("web", wait=True, timeout=20)
    assert (net.get_port(port.id).device_id, net.get_port(port.id).device_owner) == ("", "")


def test_a_server_on_two_networks_has_a_link_to_each(service, sdk, second):
    server = sdk.create_server("both", network=["second", "private"], **WANTED)
    machine = service.machines.booted[server.id]
    assert machine.plug.address == "10.88.0.2/24"  # the first that was asked for leads out
    assert [plug.address for plug in machine.more_plugs] == ["10.9.0.2/24"]
    shown = sdk.get_server("both").addresses
    assert {name: [row["addr"] for row in rows] for name, rows in shown.items()} == {
        "second": ["10.88.0.2"],
        "private": ["10.9.0.2"],
    }


def test_interfaces_are_attached_and_detached(service, sdk, net, second):
    network = second[0]
    server = sdk.create_server("web", network="private", **WANTED)
    number = service.machines.booted[server.id].plug.number
    attached = sdk.compute.create_server_interface(server, net_id=network.id, fixed_ips=[{"ip_address": "10.88.0.9"}])
    assert [plug.address for plug in service.machines.links[number]] == ["10.88.0.9/24"]
    assert len(list(sdk.compute.server_interfaces(server))) == 2
    assert sdk.compute.get_server_interface(attached.port_id, server).fixed_ips[0]["ip_address"] == "10.88.0.9"
    mine = net.create_port(network_id=network.id)
    sdk.compute.create_server_interface(server, port_id=mine.id)
    for port in (attached.port_id, mine.id):
        sdk.compute.delete_server_interface(port, server=server)
    assert service.machines.links[number] == []
    assert net.find_port(attached.port_id) is None
    assert net.get_port(mine.id).device_id == ""
    with pytest.raises(exceptions.BadRequestException):
        sdk.compute.create_server_interface(server, net_id="nope")
    with pytest.raises(exceptions.NotFoundException, match="could not be found"):
        sdk.compute.delete_server_interface("nope", server=server, ignore_missing=False)


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"uuid": "nope"}, 400, "Network nope could not be found."),
        ({"port": "nope"}, 400, "Port id nope could not be found."),
        ({"uuid": "bare"}, 400, "requires a subnet in order to boot instances on."),
        ({"uuid": "public"}, 403, "It is not allowed to create an interface on external network"),
        ({"uuid": "private", "fixed_ip": "10.1.1.1"}, 400, "Fixed IP 10.1.1.1 is not a valid ip address for network"),
        ({"uuid": "private", "fixed_ip": "10.9.0.1"}, 400, "Fixed IP address 10.9.0.1 is already in use on instance"),
    ],
)
def test_a_server_that_cannot_be_connected_is_refused_and_leaves_nothing(service, sdk, net, asked, status, words):
    net.create_network(name="bare")
    ids = {network.name: network.id for network in net.networks()}
    wanted = {name: ids.get(value, value) for name, value in asked.items()}
    image, flavor = sdk.get_image("debian-13").id, sdk.get_flavor("m1.tiny").id
    body = {"server": {"name": "x", "imageRef": image, "flavorRef": flavor, "networks": [wanted]}}
    url, headers = f"{service.layout.url}/compute/v2.1/servers", {"X-Auth-Token": sdk.auth_token}
    answer = requests.post(url, json=body, headers=headers, timeout=10)
    assert answer.status_code == status
    assert words in next(iter(answer.json().values()))["message"]
    assert sdk.list_servers() == []
    assert {port.device_owner for port in net.ports()} == {"network:router_interface"}


def test_allowed_address_pairs_are_what_a_machine_may_send_from(service, net, second):
    network, _ = second
    group = net.create_security_group(name="vips")
    pairs = [{"ip_address": "10.88.0.200"}, {"ip_address": "10.88.0.128/28", "mac_address": "FA:16:3E:00:00:01"}]
    port = net.create_port(network_id=network.id, allowed_address_pairs=pairs, security_groups=[group.id])
    own = port.fixed_ips[0]["ip_address"]
    assert port.allowed_address_pairs == [
        {"ip_address": "10.88.0.200", "mac_address": port.mac_address},
        {"ip_address": "10.88.0.128/28", "mac_address": "fa:16:3e:00:00:01"},
    ]
    senders = [address for _, address in wire(service, own).senders]
    assert senders == [own, "10.88.0.200", "10.88.0.128/28"]
    members = next(guard.members for guard in service.machines.wiring.guards if guard.id == group.id)
    assert members == (own, "10.88.0.200", "10.88.0.128/28")
    net.update_port(port, allowed_address_pairs=[])
    assert [address for _, address in wire(service, own).senders] == [own]


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"fixed_ips": [{"ip_address": "10.9.0.1"}]}, 409, "IpAddressAlreadyAllocated"),
        ({"fixed_ips": [{"ip_address": "10.1.1.1"}]}, 400, "InvalidIpForNetwork"),
        ({"fixed_ips": [{"ip_address": "no"}]}, 400, "HTTPBadRequest"),
        ({"security_groups": ["nope"]}, 404, "SecurityGroupNotFound"),
        ({"mac_address": "no"}, 400, "HTTPBadRequest"),
        ({"allowed_address_pairs": [{"mac_address": "fa:16:3e:00:00:01"}]}, 400, "AllowedAddressPairsMissingIP"),
        (
            {"port_security_enabled": False, "allowed_address_pairs": [{"ip_address": "10.9.0.9"}]},
            409,
            "AddressPairAndPortSecurityRequired",
        ),
        ({"status": "ACTIVE"}, 400, "HTTPBadRequest"),
    ],
)
def test_a_bad_port_is_refused(net, ask, body, status, kind):
    network = net.find_network("private")
    assert ask("POST", "/ports", {"port": {"network_id": network.id, **body}})[:2] == (status, kind)
    assert [port.device_owner for port in net.ports()] == ["network:router_interface"]


def test_port_security_is_given_up_only_without_groups(service, net, ask):
    port = net.create_port(network_id=net.find_network("private").id)
    own = port.fixed_ips[0]["ip_address"]
    refused = ask("PUT", f"/ports/{port.id}", {"port": {"port_security_enabled": False}})
    assert refused[:2] == (409, "PortSecurityPortHasSecurityGroup")
    net.update_port(port, port_security_enabled=False, security_groups=[])
    assert wire(service, own).groups is None
    net.update_port(port, is_admin_state_up=False)
    assert wire(service, own) is None  # and so its link lets nothing pass


def test_a_router_joins_networks_and_leads_out(service, net, ask, second):
    _, subnet = second
    private = next(net.subnets(name="private-subnet"))
    router = net.create_router(name="mine")
    net.add_interface_to_router(router, subnet_id=subnet.id)
    zones = {zone.cidr: zone for zone in service.machines.wiring.zones}
    assert (zones["10.88.0.0/24"].peers, zones["10.88.0.0/24"].outside) == ((), False)
    mine = net.create_port(network_id=private.network_id, fixed_ips=[{"ip_address": "10.9.0.99"}])
    net.add_interface_to_router(router, port_id=mine.id)
    zones = {zone.cidr: zone for zone in service.machines.wiring.zones}
    assert zones["10.88.0.0/24"].peers == ("10.9.0.0/24",)
    assert zones["10.9.0.0/24"].peers == ("10.88.0.0/24",)
    public = net.find_network("public")
    router = net.update_router(router, external_gateway_info={"network_id": public.id})
    assert router.external_gateway_info["external_fixed_ips"][0]["ip_address"].startswith("10.19.0.")
    assert {zone.cidr for zone in service.machines.wiring.zones if zone.outside} == {"10.9.0.0/24", "10.88.0.0/24"}
    again = ask("PUT", f"/routers/{router.id}/add_router_interface", {"subnet_id": subnet.id})
    assert again[:2] == (400, "BadRequest")
    assert ask("DELETE", f"/routers/{router.id}")[:2] == (409, "RouterInUse")
    interface = next(net.ports(device_id=router.id, network_id=subnet.network_id))
    assert ask("DELETE", f"/ports/{interface.id}")[:2] == (409, "ServicePortInUse")
    for one in (subnet, private):
        net.remove_interface_from_router(router, subnet_id=one.id)
    net.delete_router(router)
    assert all(zone.peers == () for zone in service.machines.wiring.zones)
    gone = ask("PUT", "/routers/nope/remove_router_interface", {"subnet_id": subnet.id})
    assert gone == (404, "RouterNotFound", "Router nope could not be found")


def test_a_floating_address_holds_the_router_that_it_needs(net, ask, second):
    network, subnet = second
    public = net.find_network("public")
    port = net.create_port(network_id=network.id)
    refused = ask("POST", "/floatingips", {"floatingip": {"floating_network_id": public.id, "port_id": port.id}})
    assert refused[:2] == (404, "ExternalGatewayForFloatingIPNotFound")
    router = net.create_router(name="mine", external_gateway_info={"network_id": public.id})
    net.add_interface_to_router(router, subnet_id=subnet.id)
    floating = net.create_ip(floating_network_id=public.id, port_id=port.id)
    assert (floating.status, floating.router_id, floating.fixed_ip_address) == ("ACTIVE", router.id, "10.88.0.2")
    held = ask("PUT", f"/routers/{router.id}/remove_router_interface", {"subnet_id": subnet.id})
    assert held[:2] == (409, "RouterInterfaceInUseByFloatingIP")
    held = ask("PUT", f"/routers/{router.id}", {"router": {"external_gateway_info": {}}})
    assert held[:2] == (409, "RouterExternalGatewayInUseByFloatingIp")
    net.delete_port(port)
    assert net.get_ip(floating.id).port_id is None


def test_floating_addresses_are_chosen_moved_described_and_reused(service, net, ask):
    public, private = net.find_network("public").id, net.find_network("private").id
    ports = [net.create_port(network_id=private) for _ in range(2)]
    floating = net.create_ip(floating_network_id=public, floating_ip_address="10.19.0.77", description="mine")
    assert (floating.floating_ip_address, floating.description, floating.status) == ("10.19.0.77", "mine", "DOWN")
    taken = {"floatingip": {"floating_network_id": public, "floating_ip_address": "10.19.0.77"}}
    assert ask("POST", "/floatingips", taken)[:2] == (409, "IpAddressAlreadyAllocated")
    for port in ports:
        moved = net.update_ip(floating, port_id=port.id)
        assert service.machines.floating == [("10.19.0.77", port.fixed_ips[0]["ip_address"])]
        assert moved.port_details["device_id"] == ""
    assert net.update_ip(floating, description="yours").port_id == ports[1].id  # what is not named stays
    wrong = ask(
        "PUT", f"/floatingips/{floating.id}", {"floatingip": {"port_id": ports[0].id, "fixed_ip_address": "1.1.1.1"}}
    )
    assert wrong[:2] == (400, "BadRequest")
    net.update_ip(floating, port_id=None)
    assert service.machines.floating == []
    net.delete_ip(floating)
    assert net.create_ip(floating_network_id=public, floating_ip_address="10.19.0.77")


def test_the_default_group_is_neutrons_and_stays(net, ask, second):
    default = net.find_security_group("default")
    rules = [(rule["direction"], rule["ethertype"], rule["remote_group_id"]) for rule in default.security_group_rules]
    egress = [("egress", kind, None) for kind in ("IPv4", "IPv6")]
    assert sorted(rules) == [*egress, *(("ingress", kind, default.id) for kind in ("IPv4", "IPv6"))]
    assert ask("DELETE", f"/security-groups/{default.id}")[0] == 409
    assert ask("PUT", f"/security-groups/{default.id}", {"security_group": {"name": "x"}})[0] == 409
    port = net.create_port(network_id=second[0].id)
    assert port.security_group_ids == [default.id]
    for rule in default.security_group_rules:
        net.delete_security_group_rule(rule["id"])
    assert net.find_security_group("default").security_group_rules == []


@pytest.mark.parametrize(
    ("rule", "status", "kind"),
    [
        ({"protocol": "tcp", "port_range_min": 9, "port_range_max": 8}, 400, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_range_min": 0, "port_range_max": 8}, 400, "SecurityGroupInvalidPortValue"),
        ({"port_range_min": 1, "port_range_max": 8}, 400, "SecurityGroupProtocolRequiredWithPorts"),
        ({"protocol": "icmp", "port_range_max": 8}, 400, "SecurityGroupMissingIcmpType"),
        ({"protocol": "icmp", "port_range_min": 256}, 400, "SecurityGroupInvalidIcmpValue"),
        ({"protocol": "carrier-pigeon"}, 400, "SecurityGroupRuleInvalidProtocol"),
        ({"remote_ip_prefix": "10.0.0.0/33"}, 400, "InvalidCIDR"),
        ({"remote_ip_prefix": "::/0"}, 400, "SecurityGroupRuleParameterConflict"),
        ({"remote_group_id": "nope"}, 404, "SecurityGroupNotFound"),
        ({"direction": "sideways"}, 400, "HTTPBadRequest"),
        ({"protocol": "ipv6-icmp"}, 400, "SecurityGroupEthertypeConflictWithProtocol"),
        ({"ethertype": "IPX"}, 400, "SecurityGroupRuleInvalidEtherType"),
    ],
)
def test_a_bad_rule_is_refused_and_opens_nothing(service, net, ask, rule, status, kind):
    group = net.create_security_group(name="web")
    before = service.machines.wiring
    body = {"security_group_id": group.id, "direction": "ingress", **rule}
    assert ask("POST", "/security-group-rules", {"security_group_rule": body})[:2] == (status, kind)
    assert service.machines.wiring == before


def test_many_at_once_fields_filters_and_order(net, ask, service, sdk):
    private = net.find_network("private").id
    made = net.create_ports([{"network_id": private, "name": name} for name in ("b", "a")])
    assert [port.name for port in made] == ["b", "a"]
    url, headers = f"{service.layout.url}/network/v2.0/ports", {"X-Auth-Token": sdk.auth_token}

    def names(query):
        return [row.get("name") for row in requests.get(f"{url}?{query}", headers=headers, timeout=5).json()["ports"]]

    assert names("name=a&name=b&sort_key=name&sort_dir=desc") == ["b", "a"]
    assert names("fixed_ips=ip_address%3D10.9.0.3") == ["a"]
    rows = requests.get(f"{url}?fields=id&fields=name&name=a", headers=headers, timeout=5).json()["ports"]
    assert set(rows[0]) == {"id", "name"}


def test_extensions_tell_what_there_is(net):
    aliases = {extension.alias for extension in net.extensions()}
    assert {"router", "security-group", "allowed-address-pairs", "port-security", "quotas"} <= aliases
    assert net.find_extension("router").name == "Neutron L3 Router"
    assert net.find_extension("lbaasv2") is None
