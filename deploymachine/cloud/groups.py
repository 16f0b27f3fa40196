"""Security groups: one for every server (SSH, ping) and one per type, made of what the servers' firewalls come from.

Rules that are missing are added, rules of ours that no longer hold are removed, and nobody else's group is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deploymachine import servertypes
from deploymachine.cloud import describe
from deploymachine.cloud.words import explained, status_of
from deploymachine.hostkeys import locked
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection
    from openstack.network.v2.security_group import SecurityGroup

    Rule = dict[str, Any]

COMMON = ""  # stands for a type: the group that every server is in
ANYWHERE = {"IPv4": "0.0.0.0/0", "IPv6": "::/0"}
MARK = "deploymachine: "  # begins the description of every rule that we made


def keep(connection: Connection, settings: Settings, raws: Sequence[RawServer], kinds: Iterable[str]) -> GroupIds:
    """Make the groups of the deployment what they should be, and have its servers `raws` in theirs.

    kinds: the types that are about to be booted. Returns type -> ids of its servers' groups. Raises CloudError.
    """
    needed = {*kinds, *(raw.metadata.get(describe.TYPE, "") for raw in raws)}
    # Not the lock of booting: who cooks need not wait until all servers are up. So a group that is there without a
    # server may be that of one which is about to be made.
    with locked(settings.state / "groups.lock"), explained(f"The groups of {settings.DEPLOYMENT} can't be kept"):
        there = find(connection, settings)
        known = sorted({*needed, *there} & set(servertypes.names()))
        for kind in (COMMON, *known):
            if kind not in there:
                there[kind] = _make(connection, settings, kind)
        ids = {kind: str(there[kind].id) for kind in (COMMON, *known)}
        wanted = {kind: wanted_rules(settings, kind, ids) for kind in ids}
        for kind, rules in wanted.items():
            _add_missing(connection, there[kind], rules)
        carried = {kind: (ids[COMMON], ids[kind]) for kind in known}
        # Before anything is closed: a server that is not in its type's group yet lives on what the common one lets in.
        for raw in raws:
            if raw.status != "BUILD":  # what is being built was given its groups, and does not list them yet
                mend(connection, settings, raw, carried)
        for kind, rules in wanted.items():
            _remove_stale(connection, there[kind], rules)
    # What is of no type, a machine to try a cookbook on, is in everybody's group alone.
    return {**dict.fromkeys(needed, (ids[COMMON],)), **carried}


GroupIds = Mapping[str, tuple[str, ...]]


def find(connection: Connection, settings: Settings) -> dict[str, SecurityGroup]:
    """The deployment's groups in this project by type, the oldest where there are several of one."""
    mine = connection.current_project_id  # an administrator is shown those of every project
    every = [g for g in connection.network.security_groups() if mine in (None, g.project_id)]
    found: dict[str, SecurityGroup] = {}
    for group in sorted(every, key=lambda one: str(one.created_at), reverse=True):
        if str(group.description or "").startswith(_description(settings)):
            kind = str(group.name).removeprefix(name(settings)).removeprefix("-")
            found[kind] = group
    return found


def remove(connection: Connection, settings: Settings, keep_kinds: Iterable[str] = ()) -> None:
    """Delete the groups that no server of the deployment needs any more. Raises CloudError.

    keep_kinds: the types of which servers are left; where there are none, the common group goes, too.
    """
    kept = {*keep_kinds}
    with explained(f"The security groups of {settings.DEPLOYMENT} can't be deleted"):
        for kind, group in find(connection, settings).items():
            if kind in kept or (kind == COMMON and kept):
                continue
            try:
                connection.network.delete_security_group(group.id)
            except Exception as error:
                if status_of(error) != 409:  # in use: a server was booted meanwhile
                    raise


def name(settings: Settings, kind: str = COMMON) -> str:
    """What the group of a type is called; COMMON: the one that every server is in."""
    return f"deploymachine-{settings.DEPLOYMENT}" + (f"-{kind}" if kind else "")


def wanted_rules(settings: Settings, kind: str, ids: Mapping[str, str]) -> list[Rule]:
    """What the group of a type has to let in; ids: type -> group, for every type that has servers."""
    if kind == COMMON:
        return [rule for ethertype in ANYWHERE for rule in _everybodys(settings, ethertype)]
    return [
        rule
        for opening in servertypes.openings(kind, settings)
        for sender in _senders(opening, settings, ids)
        for rule in [{**_rule(sender["ethertype"], opening.comment, "tcp", opening.port), **sender}]
    ]


def _everybodys(settings: Settings, ethertype: str) -> list[Rule]:
    ports = ((22, "SSH until provisioned"), (settings.SSH_PORT, "SSH"))
    ping = _rule(ethertype, "ping", "icmp" if ethertype == "IPv4" else "ipv6-icmp")
    return [*(_rule(ethertype, comment, "tcp", port) for port, comment in ports), ping]


def _senders(opening: servertypes.Opening, settings: Settings, ids: Mapping[str, str]) -> list[Rule]:
    """Who may connect, as the part of a rule that says so."""
    if opening.peers is None:
        return [{"ethertype": ethertype} for ethertype in ANYWHERE]
    serving = [kind for kind in ids if kind != COMMON and opening.peers in servertypes.parts(kind)]
    fixed = [
        one.ip
        for kind, servers in settings.SERVERS.items()
        if opening.peers in servertypes.parts(kind)
        for one in servers
    ]
    return [
        *({"ethertype": ethertype, "remote_group_id": ids[kind]} for kind in serving for ethertype in ANYWHERE),
        *({"ethertype": f"IPv{ip.version}", "remote_ip_prefix": f"{ip}/{ip.max_prefixlen}"} for ip in fixed),
    ]


def _rule(ethertype: str, comment: str, protocol: str, port: int | None = None) -> Rule:
    rule = {
        "direction": "ingress",
        "ethertype": ethertype,
        "protocol": protocol,
        "description": f"{MARK}{comment}"[:255],
    }
    return rule if port is None else {**rule, "port_range_min": port, "port_range_max": port}


def identity(rule: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two rules the same, whether asked for or answered; a prefix of everywhere is the same as none."""
    keys = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_group_id")
    prefix = rule.get("remote_ip_prefix")
    protocol = "ipv6-icmp" if rule.get("protocol") == "icmpv6" else rule.get("protocol")
    return (
        *(protocol if key == "protocol" else rule.get(key) for key in keys),
        None if prefix in ANYWHERE.values() else prefix,
    )


def _description(settings: Settings) -> str:
    return f"deployment {settings.DEPLOYMENT}, "


def _make(connection: Connection, settings: Settings, kind: str) -> SecurityGroup:
    description = f"{_description(settings)}{kind + ', ' if kind else ''}kept by deploymachine"
    return connection.network.create_security_group(name=name(settings, kind), description=description)


def _add_missing(connection: Connection, group: SecurityGroup, wanted: Iterable[Rule]) -> None:
    for rule in missing_rules(group, wanted):
        try:
            connection.network.create_security_group_rule(security_group_id=group.id, **rule)
        except Exception as error:
            if status_of(error) != 409 or "uota" in str(error):  # exists already: another run was quicker
                raise


def missing_rules(group: SecurityGroup, wanted: Iterable[Rule]) -> list[Rule]:
    """Those of `wanted` that the group does not have, each once."""
    present = {identity(rule) for rule in group.security_group_rules or []}
    missing = {identity(rule): rule for rule in wanted}
    return [rule for identity, rule in missing.items() if identity not in present]


def _remove_stale(connection: Connection, group: SecurityGroup, wanted: Iterable[Rule]) -> None:
    from deploymachine.cloud.opened import counts_still

    holds = {identity(rule) for rule in wanted}
    for rule in group.security_group_rules or []:
        ours = str(rule.get("description") or "").startswith(MARK)
        if ours and rule.get("direction") == "ingress" and identity(rule) not in holds and not counts_still(rule):
            connection.network.delete_security_group_rule(rule["id"])


def mend(connection: Connection, settings: Settings, raw: RawServer, carried: GroupIds) -> None:
    """Put the server into its type's groups, where it does not list them already."""
    kind = raw.metadata.get(describe.TYPE, "")
    listed = {group.get("name") for group in raw.security_groups or []}
    if kind in carried and not {name(settings), name(settings, kind)} <= listed:
        join(connection, str(raw.id), carried[kind])


def join(connection: Connection, server_id: str, group_ids: Sequence[str]) -> None:
    """Put every port of the server into the groups, too."""
    for port in connection.network.ports(device_id=server_id):
        has = list(port.security_group_ids or [])
        if missing := [one for one in group_ids if one not in has]:
            connection.network.update_port(port.id, security_groups=[*has, *missing])


def leave(connection: Connection, server_id: str, group_ids: Iterable[str]) -> None:
    """Take every port of the server out of the groups."""
    gone = {*group_ids}
    for port in connection.network.ports(device_id=server_id):
        has = list(port.security_group_ids or [])
        if gone & {*has}:
            connection.network.update_port(port.id, security_groups=[one for one in has if one not in gone])
