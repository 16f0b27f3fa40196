"""Certificates by ACME: the first loadbalancer gets them for all, the others take them from it."""

__description__ = "certbot over webroot for the sites' certificates, shared by several loadbalancers"
__config__ = {
    "certbot.sites": {"description": "site -> the domains to get a certificate for", "default": {}},
    "certbot.email": {"description": "Whom the authority writes to", "default": ""},
    "certbot.directory": {"description": "URL of the authority's directory; None: certbot's own", "default": None},
    "certbot.ca": {
        "description": "PEM of who signed that directory's certificate; None: known anyway",
        "default": None,
    },
    "certbot.leader": {
        "description": "{name, address} of the loadbalancer that gets the certificates; None: this one",
        "default": None,
    },
    "certbot.followers": {"description": "Names of the loadbalancers that take them from this one", "default": []},
    "certbot.address": {"description": "Where it hands them out: an address of its own", "default": None},
    "certbot.port": {"description": "The port of that", "default": 4402},
    "certbot.identity": {
        "description": "{authority, certificate, key}: PEM by which loadbalancers know each other; None: there is one",
        "default": None,
    },
}
