"""Neutron's ports, security groups and floating addresses where no agent runs: what it decides is in force at once.

Any port is bound to any host. After every change all of it is handed to the hypervisor, which wires its machines so.
"""

from __future__ import annotations

import threading
from typing import Any

from devcloud_hypervisor import opened
from devcloud_wiring import Networks
from neutron.services.l3_router import l3_router_plugin
from neutron_lib import constants, context
from neutron_lib.api.definitions import portbindings
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.plugins import directory
from neutron_lib.plugins.ml2 import api
from oslo_log import log

LOG = log.getLogger(__name__)
WATCHED = (
    resources.PORT,
    resources.SECURITY_GROUP,
    resources.SECURITY_GROUP_RULE,
    resources.SUBNET,
    resources.ROUTER_INTERFACE,
)
CHANGES = (events.AFTER_CREATE, events.AFTER_UPDATE, events.AFTER_DELETE)
AGENT_TAKES = 0.5  # seconds from the call to the status that Neutron's L3 agent would report then


class AnyPort(api.MechanismDriver):
    """Binds every port to every host, at once."""

    def initialize(self) -> None:
        """Nothing to prepare."""

    @property
    def connectivity(self) -> str:
        return str(portbindings.CONNECTIVITY_L2)

    def bind_port(self, port: Any) -> None:
        details = {
            portbindings.CAP_PORT_FILTER: True,
            portbindings.OVS_HYBRID_PLUG: False,
            portbindings.VIF_DETAILS_CONNECTIVITY: portbindings.CONNECTIVITY_L2,
        }
        segment = port.segments_to_bind[0]
        kind = portbindings.VIF_TYPE_OVS
        port.set_binding(segment[api.ID], kind, details, status=constants.PORT_STATUS_ACTIVE)


class FloatingAddresses(l3_router_plugin.L3RouterPlugin):  # type: ignore[misc]
    """Neutron's own plugin; what agents would do and report is done here."""

    _lock = threading.Lock()

    def __init__(self) -> None:
        super().__init__()
        for resource in WATCHED:
            for event in CHANGES:
                registry.subscribe(self._changed, resource, event)

    def create_floatingip(self, context: Any, floatingip: Any, *args: Any, **rest: Any) -> Any:
        return self._led(super().create_floatingip(context, floatingip, *args, **rest))

    def update_floatingip(self, context: Any, id: str, floatingip: Any) -> Any:
        return self._led(super().update_floatingip(context, id, floatingip))

    def delete_floatingip(self, context: Any, id: str) -> None:
        super().delete_floatingip(context, id)
        self._wire()

    def _led(self, floating: Any) -> Any:
        self._wire()
        timer = threading.Timer(AGENT_TAKES, self._report, (floating["id"], bool(floating.get("port_id"))))
        timer.daemon = True
        timer.start()
        return floating

    def _report(self, identity: str, associated: bool) -> None:
        active, down = constants.FLOATINGIP_STATUS_ACTIVE, constants.FLOATINGIP_STATUS_DOWN
        try:
            self.update_floatingip_status(context.get_admin_context(), identity, active if associated else down)
        except Exception as error:  # it is gone again, most likely
            LOG.warning("floating address %s: %s", identity, error)

    def _changed(self, resource: Any, event: Any, trigger: Any, payload: Any = None) -> None:
        self._wire()

    def _wire(self) -> None:
        with self._lock:
            opened().wire(decided(self))


def decided(routers: Any) -> Networks:
    """All that Neutron knows and the hypervisor has to. routers: the plugin that keeps floating addresses."""
    admin, core = context.get_admin_context(), directory.get_plugin()
    ports = [port for port in core.get_ports(admin) if port["fixed_ips"]]
    outside = {net["id"] for net in core.get_networks(admin) if net["router:external"]}
    subnets = {one["id"]: one for one in core.get_subnets(admin) if one["network_id"] not in outside}
    routed = {_subnet(port) for port in ports if port["device_owner"] == constants.DEVICE_OWNER_ROUTER_INTF}
    plugged = [port for port in ports if port["device_owner"].startswith("compute:") and _subnet(port) in subnets]
    addresses = routers.get_floatingips(admin)
    return {
        "subnets": [
            {"cidr": one["cidr"], "gateway": one["gateway_ip"] or "", "outside": one["id"] in routed}
            for one in subnets.values()
        ],
        "ports": [_port(port, subnets[_subnet(port)]["cidr"]) for port in plugged],
        "groups": [_group(group, plugged) for group in core.get_security_groups(admin)],
        "floating": [[one["floating_ip_address"], one["fixed_ip_address"]] for one in addresses if one["port_id"]],
    }


def _subnet(port: Any) -> str:
    return str(port["fixed_ips"][0]["subnet_id"])


def _address(port: Any) -> str:
    return str(port["fixed_ips"][0]["ip_address"])


def _port(port: Any, cidr: str) -> dict[str, Any]:
    return {"mac": port["mac_address"], "address": _address(port), "cidr": cidr, "groups": port["security_groups"]}


def _group(group: Any, ports: list[Any]) -> dict[str, Any]:
    members = [_address(port) for port in ports if group["id"] in port["security_groups"]]
    return {"id": group["id"], "rules": [_rule(rule) for rule in group["security_group_rules"]], "members": members}


def _rule(rule: Any) -> dict[str, Any]:
    return {
        "id": rule["id"],
        "group_id": rule["security_group_id"],
        "direction": rule["direction"],
        "ethertype": rule["ethertype"],
        "protocol": rule["protocol"],
        "port_min": rule["port_range_min"],
        "port_max": rule["port_range_max"],
        "prefix": rule["remote_ip_prefix"],
        "remote_group_id": rule["remote_group_id"],
    }
