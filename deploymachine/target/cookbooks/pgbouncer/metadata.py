"""What stands between a server's sites and the database: few connections, kept open, for many who ask."""

__description__ = "pgbouncer beside the sites: TLS to the dbserver, a limit on connections, PAUSE and RESUME"
__config__ = {
    "pgbouncer.databases": {
        "description": "[{name, owner, pooling (session or transaction), connections}]; none: it does not run",
        "default": [],
    },
    "pgbouncer.passwords": {"description": "owner -> password, for sites here and at the server", "default": {}},
    "pgbouncer.server": {
        "description": "Who keeps them: {address, port}; None: this server, asked by its Unix socket",
        "default": None,
    },
    "pgbouncer.authority": {"description": "The certificate (PEM) that has to have signed the server's", "default": ""},
    "pgbouncer.port": {"description": "Where it listens, on the loopback", "default": 6432},
    "pgbouncer.max_client_connections": {"description": "How many may ask at once", "default": 1000},
    "pgbouncer.settings": {"description": "Further lines of pgbouncer.ini, name -> value; they win", "default": {}},
}
