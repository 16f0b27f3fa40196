"""Where devcloud answers differently from a real control plane, and why it may."""

from __future__ import annotations

# What matches a line "scenario#number METHOD path $.where: recorded, here other": the reason.
EXCUSES: dict[str, str] = {
    # what devcloud does not have, or has more of
    r"catalog length: also \['placement'\]": "no placement service, but volumes, which the recorded cloud had not",
    r"GET /none/ status": "no placement service",
    r"\$\.extensions length": "no more of Neutron's extensions than it does",
    r"networks\[\]\.availability_zones length": "the recorded cloud ran none of the agents that zones are known from",
    r"quota\.security_group": "roomier defaults: groups are cheap on one machine",
    # one user in one project
    r"token\.(project\.id|roles length)": "the login of an administrator, who is nobody else here",
    r"/identity/v3/projects\S* \$\.links\.self": "the one project has another name",
    r"14-errors#104 ": "asked as an administrator, who sees ports of others and the hosts of all",
    # what the services' databases count
    r"revision_number": "Neutron counts steps of its own making",
    r"standard_attr_id": "a number of Neutron's database, which it tells by mistake",
    r"belongs_to_default_sg: null": "Neutron does not find that out where it lists groups",
    r"keypair\.id": "a number of Nova's database",
    # how long things take
    r"floatingips?(\[\])?\.status": "told by an agent some seconds later; here the address leads there at once",
    r"addresses\.private length": "Nova's memory of Neutron's addresses is some seconds old",
    r"task_state: (resize_finish, here resize_prep|rebuild_spawning, here rebuilding)": "steps that take no time here",
    r"13-server-actions#22 .*(VERIFY_RESIZE|resized)": "a resize is confirmed with the answer",
    r"14-errors#(69|72) ": "a failed build loses its host first and is in ERROR then; here both at once",
    r"14-errors#(117|119|121|138) |15-one-network#11 ": "steps of a build between choosing a host and starting there",
    r"14-errors#14[12] |18-delete-server#22 ": "a deleted server was still shown for a moment",
    r"18-delete-server#21 .*security_groups length": "the ports of a server are deleted together",
    # other machines, other orders
    r"fault\.message: Exceeded maximum number of retries": "there is no other machine to try it on",
    r"\$\.output: FAKE CONSOLE": "what a machine prints is its own",
    r"networks\[\]\.mtu: 1500": "all networks have the MTU of this machine's uplink",
    r"security_groups length: also \[\], here also \['rec-sg'\]": "groups of one server that differ from port to port",
    r"POST /network/v2\.0/networks \$\.network\.is_default": "told of external networks, to which alone it applies",
}

# What the command line prints differently therefore, by scenario.
PRINTED: dict[str, dict[str, str]] = {
    "25-cli-floating-ip-create": {r"revision_number": "Neutron counts steps of its own making"},
    "28-cli-misc-catalog-list": {r" length: .*placement": "no placement service, but volumes"},
    "28-cli-misc-floating-ip-list": {r"\.Status: ACTIVE, here DOWN": "an address that leads nowhere is down at once"},
}
