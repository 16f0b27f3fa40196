"""Neutron's parts go in; the one network service of a devcloud comes out, no HTTP."""

from __future__ import annotations

from deploymachine.devcloud.floatingips import FloatingIPs
from deploymachine.devcloud.ports import Ports
from deploymachine.devcloud.routers import Routers
from deploymachine.devcloud.securitygroups import DEFAULT_GROUP, SecurityGroups
from deploymachine.devcloud.subnets import Subnets

__all__ = ["DEFAULT_GROUP", "Networking"]


class Networking(Subnets, Ports, Routers, FloatingIPs, SecurityGroups):
    """Every method raises Refused with Neutron's status, kind and words."""
