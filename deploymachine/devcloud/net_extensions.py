"""What of Neutron's extensions devcloud has, in Neutron's own words."""

from __future__ import annotations

EXTENSIONS = tuple(
    {"name": name, "alias": alias, "description": description, "updated": updated, "links": []}
    for alias, name, description, updated in (
        (
            "allowed-address-pairs",
            "Allowed Address Pairs",
            "Provides allowed address pairs",
            "2013-07-23T10:00:00-00:00",
        ),
        ("availability_zone", "Availability Zone", "The availability zone extension.", "2015-01-01T10:00:00-00:00"),
        (
            "binding",
            "Port Binding",
            "Expose port bindings of a virtual port to external application",
            "2014-02-03T10:00:00-00:00",
        ),
        (
            "external-net",
            "Neutron external network",
            "Adds external network attribute to network resource.",
            "2013-01-14T10:00:00-00:00",
        ),
        (
            "fip-port-details",
            "Floating IP Port Details Extension",
            "Add port_details attribute to Floating IP resource",
            "2018-04-09T10:00:00-00:00",
        ),
        ("net-mtu", "Network MTU", "Provides MTU attribute for a network resource.", "2015-03-25T10:00:00-00:00"),
        (
            "network_availability_zone",
            "Network Availability Zone",
            "Availability zone support for network.",
            "2015-01-01T10:00:00-00:00",
        ),
        (
            "pagination",
            "Pagination support",
            "Extension that indicates that pagination is enabled.",
            "2016-06-12T00:00:00-00:00",
        ),
        ("port-security", "Port Security", "Provides port security", "2012-07-23T10:00:00-00:00"),
        (
            "project-id",
            "project_id field enabled",
            "Extension that indicates that project_id field is enabled.",
            "2016-09-09T09:09:09-09:09",
        ),
        (
            "quota-check-limit",
            "Quota engine limit check",
            "Support for checking the resource usage before applying a new quota limit",
            "2021-09-08T16:00:00-00:00",
        ),
        (
            "quotas",
            "Quota management support",
            "Expose functions for quotas management per project",
            "2012-07-29T10:00:00-00:00",
        ),
        (
            "quota_details",
            "Quota details management support",
            "Expose functions for quotas usage statistics per project",
            "2017-02-10T10:00:00-00:00",
        ),
        (
            "router",
            "Neutron L3 Router",
            "Router abstraction for basic L3 forwarding between L2 Neutron networks and "
            "access to external networks via a NAT gateway.",
            "2012-07-20T10:00:00-00:00",
        ),
        (
            "router_availability_zone",
            "Router Availability Zone",
            "Availability zone support for router.",
            "2015-01-01T10:00:00-00:00",
        ),
        ("security-group", "security-group", "The security groups extension.", "2012-10-05T10:00:00-00:00"),
        (
            "security-groups-normalized-cidr",
            "Normalized CIDR field for security group rules",
            "Add new field with normalized remote_ip_prefix cidr in SG rule",
            "2020-07-28T10:00:00-00:00",
        ),
        (
            "sorting",
            "Sorting support",
            "Extension that indicates that sorting is enabled.",
            "2016-06-12T00:00:00-00:00",
        ),
        (
            "standard-attr-description",
            "standard-attr-description",
            "Extension to add descriptions to standard attributes",
            "2016-02-10T10:00:00-00:00",
        ),
        (
            "standard-attr-revisions",
            "Resource revision numbers",
            "This extension will display the revision number of neutron resources.",
            "2016-04-11T10:00:00-00:00",
        ),
        (
            "standard-attr-timestamp",
            "Resource timestamps",
            "Adds created_at and updated_at fields to all Neutron resources that have Neutron standard attributes.",
            "2016-09-12T10:00:00-00:00",
        ),
        (
            "subnet-external-network",
            "Subnet belongs to an external network",
            "Informs if the subnet belongs to an external network",
            "2024-02-05T18:00:00-00:00",
        ),
    )
)
