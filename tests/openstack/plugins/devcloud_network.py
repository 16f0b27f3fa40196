"""Neutron's ports and floating addresses where no agent runs: any port is bound, an address leads to its machine.

Security groups are Neutron's to remember here and nobody's to enforce.
"""

from __future__ import annotations

import threading
from typing import Any

from devcloud_hypervisor import opened
from neutron.services.l3_router import l3_router_plugin
from neutron_lib import constants, context
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api
from oslo_log import log

LOG = log.getLogger(__name__)
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
    """Neutron's own plugin, with the agent's part done by devcloud's firewall table."""

    _lock = threading.Lock()

    def create_floatingip(self, context: Any, floatingip: Any, *args: Any, **rest: Any) -> Any:
        return self._led(super().create_floatingip(context, floatingip, *args, **rest))

    def update_floatingip(self, context: Any, id: str, floatingip: Any) -> Any:
        return self._led(super().update_floatingip(context, id, floatingip))

    def delete_floatingip(self, context: Any, id: str) -> None:
        super().delete_floatingip(context, id)
        self._lead()

    def disassociate_floatingips(self, context: Any, port_id: str, *args: Any, **rest: Any) -> Any:
        routers = super().disassociate_floatingips(context, port_id, *args, **rest)
        self._later(self._lead)
        return routers

    def _led(self, floating: Any) -> Any:
        self._lead()
        self._later(self._report, floating["id"], bool(floating.get("port_id")))
        return floating

    def _lead(self) -> None:
        with self._lock:
            every = self.get_floatingips(context.get_admin_context())
            opened().float((one["floating_ip_address"], one["fixed_ip_address"]) for one in every if one["port_id"])

    def _report(self, identity: str, associated: bool) -> None:
        active, down = constants.FLOATINGIP_STATUS_ACTIVE, constants.FLOATINGIP_STATUS_DOWN
        self.update_floatingip_status(context.get_admin_context(), identity, active if associated else down)

    def _later(self, work: Any, *args: Any) -> None:
        def quietly() -> None:
            try:
                work(*args)
            except Exception as error:  # the address is gone again, most likely
                LOG.warning("floating address: %s", error)

        timer = threading.Timer(AGENT_TAKES, quietly)
        timer.daemon = True
        timer.start()
