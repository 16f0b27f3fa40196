"""dbappbalancer: loadbalancer, appnode and dbserver on one server, where everybody starts."""

PARTS = ("loadbalancer", "appnode", "dbserver")
