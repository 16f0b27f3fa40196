"""dbappbalancer: loadbalancer, appnode, dbserver and cachenode on one server, where everybody starts."""

PARTS = ("loadbalancer", "appnode", "dbserver", "cachenode")
