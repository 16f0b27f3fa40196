"""Neutron's ports, security groups and floating addresses where no agent runs: what it decides is in force soon.

Any port is bound to any host. After changes all of it is handed to the hypervisor, which wires its machines so.
"""

from __future__ import annotations

import threading
import time
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

    def __init__(self) -> None:
        super().__init__()
        self._changes = threading.Event()
        threading.Thread(target=self._wire_for_ever, daemon=True).start()
        for resource in WATCHED:
            for event in CHANGES:
                registry.subscribe(self._changed, resource, event)

    def create_floatingip(self, *args: Any, **rest: Any) -> Any:
        return self._after(super().create_floatingip(*args, **rest))

    def update_floatingip(self, *args: Any, **rest: Any) -> Any:
        return self._after(super().update_floatingip(*args, **rest))

    def delete_floatingip(self, *args: Any, **rest: Any) -> Any:
        return self._after(super().delete_floatingip(*args, **rest))

    def _after(self, answer: Any) -> Any:
        self._changes.set()
        return answer

    def _changed(self, resource: Any, event: Any, trigger: Any, payload: Any = None) -> None:
        self._changes.set()

    def _wire_for_ever(self) -> None:
        """One wiring for all that changed while the last one was made: a boot changes dozens of things."""
        while self._changes.wait():
            self._changes.clear()
            try:
                opened().wire(decided(self))
                self._report()
            except Exception:
                LOG.exception("what Neutron decided is not in force")
                time.sleep(1)
                self._changes.set()

    def _report(self) -> None:
        """What Neutron's L3 agent says once an address leads somewhere, or nowhere."""
        admin = context.get_admin_context()
        for one in self.get_floatingips(admin):
            leads = constants.FLOATINGIP_STATUS_ACTIVE if one["port_id"] else constants.FLOATINGIP_STATUS_DOWN
            if one["status"] != leads:
                self.update_floatingip_status(admin, one["id"], leads)


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
