"""The deployment's security group: made once, missing rules added, nothing else in it touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deploymachine.cloud.words import explained, status_of
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.connection import Connection
    from openstack.network.v2.security_group import SecurityGroup

ANYWHERE = {"IPv4": "0.0.0.0/0", "IPv6": "::/0"}


def ensure(connection: Connection, settings: Settings) -> str:
    """The id of the group, after making sure that it is there with its rules. Raises CloudError."""
    with explained(f"The security group {name(settings)} can't be made"):
        group = find(connection, settings) or connection.network.create_security_group(
            name=name(settings), description=f"deployment {settings.DEPLOYMENT}, kept by deploymachine"
        )
        present = {_identity(rule) for rule in group.security_group_rules or []}
        for rule in wanted_rules(settings, group.id):
            if _identity(rule) not in present:
                _add(connection, group.id, rule)
        return str(group.id)


def find(connection: Connection, settings: Settings) -> SecurityGroup | None:
    """The deployment's group in this project, the oldest if there are several; None when it is not there."""
    mine = connection.current_project_id  # an administrator is shown those of every project
    found = [g for g in connection.network.security_groups(name=name(settings)) if mine in (None, g.project_id)]
    return min(found, key=lambda group: str(group.created_at)) if found else None


def remove(connection: Connection, settings: Settings) -> None:
    """Delete the group unless a server still uses it. Raises CloudError."""
    with explained(f"The security group {name(settings)} can't be deleted"):
        group = find(connection, settings)
        try:
            if group is not None:
                connection.network.delete_security_group(group.id)
        except Exception as error:
            if status_of(error) != 409:  # in use: a server was booted meanwhile
                raise


def name(settings: Settings) -> str:
    """What the group is called."""
    return f"deploymachine-{settings.DEPLOYMENT}"


def wanted_rules(settings: Settings, group_id: str) -> list[dict[str, Any]]:
    """SSH, HTTP and HTTPS from anywhere, ping, and everything between the deployment's own servers."""
    rules: list[dict[str, Any]] = []
    for ethertype in ANYWHERE:
        rules += [_rule(ethertype, "tcp", port) for port in (22, settings.SSH_PORT, 80, 443)]
        rules.append(_rule(ethertype, "icmp" if ethertype == "IPv4" else "ipv6-icmp"))
        rules.append({**_rule(ethertype), "remote_group_id": group_id})
    return rules


def _rule(ethertype: str, protocol: str | None = None, port: int | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"direction": "ingress", "ethertype": ethertype}
    if protocol is not None:
        rule["protocol"] = protocol
    if port is not None:
        rule.update(port_range_min=port, port_range_max=port)
    return rule


def _identity(rule: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two rules the same, whether asked for or answered; a prefix of everywhere is the same as none."""
    keys = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_group_id")
    prefix = rule.get("remote_ip_prefix")
    protocol = "ipv6-icmp" if rule.get("protocol") == "icmpv6" else rule.get("protocol")
    return (
        *(protocol if key == "protocol" else rule.get(key) for key in keys),
        None if prefix in ANYWHERE.values() else prefix,
    )


def _add(connection: Connection, group_id: str, rule: dict[str, Any]) -> None:
    try:
        connection.network.create_security_group_rule(security_group_id=group_id, **rule)
    except Exception as error:
        if status_of(error) != 409:  # exists already: another run was quicker
            raise
