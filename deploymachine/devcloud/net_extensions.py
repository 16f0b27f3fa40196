"""What of Neutron's extensions devcloud has: Neutron's own names and dates for them."""

from __future__ import annotations

EXTENSIONS = tuple(
    {"name": name, "alias": alias, "description": description, "updated": f"{updated}-00:00", "links": []}
    for alias, name, description, updated in (
        ("allowed-address-pairs", "Allowed Address Pairs", "Provides allowed address pairs", "2013-07-23T10:00:00"),
        ("availability_zone", "Availability Zone", "The availability zone extension.", "2015-01-01T10:00:00"),
        ("binding", "Port Binding", "Expose port bindings of a virtual port", "2014-02-03T10:00:00"),
        ("external-net", "Neutron external network", "Adds external network attribute.", "2013-01-14T10:00:00"),
        ("fip-port-details", "Floating IP Port Details Extension", "Add port_details.", "2018-04-09T10:00:00"),
        ("net-mtu", "Network MTU", "Provides MTU attribute for a network resource.", "2015-03-25T10:00:00"),
        ("network_availability_zone", "Network Availability Zone", "Zones for networks.", "2015-01-01T10:00:00"),
        ("pagination", "Pagination support", "Indicates that pagination is enabled.", "2016-06-12T00:00:00"),
        ("port-security", "Port Security", "Provides port security", "2012-07-23T10:00:00"),
        ("project-id", "project_id field enabled", "Indicates that project_id is enabled.", "2016-09-09T09:09:09"),
        ("quota-check-limit", "Quota engine limit check", "Checks usage before a new limit.", "2021-09-08T16:00:00"),
        ("quotas", "Quota management support", "Quotas management per project", "2012-07-29T10:00:00"),
        ("quota_details", "Quota details management support", "Quotas usage per project", "2017-02-10T10:00:00"),
        ("router", "Neutron L3 Router", "Forwarding between networks, and a NAT gateway.", "2012-07-20T10:00:00"),
        ("router_availability_zone", "Router Availability Zone", "Zones for routers.", "2015-01-01T10:00:00"),
        ("security-group", "security-group", "The security groups extension.", "2012-10-05T10:00:00"),
        ("security-groups-normalized-cidr", "Normalized CIDR field", "For security groups.", "2020-07-28T10:00:00"),
        ("sorting", "Sorting support", "Indicates that sorting is enabled.", "2016-06-12T00:00:00"),
        ("standard-attr-description", "standard-attr-description", "Adds descriptions.", "2016-02-10T10:00:00"),
        ("standard-attr-revisions", "Resource revision numbers", "Shows revision numbers.", "2016-04-11T10:00:00"),
        ("standard-attr-timestamp", "Resource timestamps", "Adds created_at, updated_at.", "2016-09-12T10:00:00"),
        ("subnet-external-network", "Subnet belongs to an external network", "Tells of it.", "2024-02-05T18:00:00"),
    )
)
