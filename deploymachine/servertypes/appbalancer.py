"""appbalancer: loadbalancer and appnode on one server."""

PARTS = ("loadbalancer", "appnode")
